"""Train the two small tokenizers beside this file; run it by hand, the results are committed.

``tokenizer/`` is byte-level BPE as in RoBERTa, ``tokenizer-xlm-roberta/`` a Unigram model as in XLM-R.
They have 600 and about 160 entries and the special ids of their families.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

FOLDER = Path(__file__).parent
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
SUBJECTS = [
    "film",
    "movie",
    "story",
    "cast",
    "script",
    "ending",
    "music",
    "director",
    "acting",
    "camera work",
]
VERDICTS = [
    "great",
    "dull",
    "charming",
    "terrible",
    "moving",
    "clumsy",
    "funny",
    "boring",
    "brilliant",
    "flat",
]
SENTENCES = [
    f"The {s} is {v}, and I would {w} see it again." for s in SUBJECTS for v in VERDICTS for w in ("", "not")
]
SENTENCES += [
    "A warm and funny picture that never loses its way.",
    "It is two hours of my life that I will not get back!",
    "Unexpectedly tender; the second half drags, the last scene does not.",
    "Nothing here works: not the jokes, not the pace, not the people.",
    "Le film est magnifique et les acteurs sont excellents.",
    "Der Film ist langweilig, aber die Musik gefällt mir sehr.",
    "La película es muy buena y la historia emociona.",
    "How many seats are left for the evening show?",
    "Please book a table for four people tomorrow at seven.",
    "She didn't like it, he'd have left, they've seen better, we'll wait.",
    "Prices rose by 3.5 % in 2024, from $1,200 to $1,242.",
]


def write(folder: Path, tokenizer: Tokenizer, tokenizer_class: str) -> None:
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": {
            "content": "<mask>",
            "lstrip": True,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
        },
    }
    config = {
        **{name: value for name, value in special.items() if isinstance(value, str)},
        "mask_token": "<mask>",
        "model_max_length": 512,
        "tokenizer_class": tokenizer_class,
    }
    for name, value in {"special_tokens_map.json": special, "tokenizer_config.json": config}.items():
        (folder / name).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    mask = AddedToken("<mask>", lstrip=True, normalized=False, special=True)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[*SPECIAL, mask],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=600, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


if __name__ == "__main__":
    write(FOLDER / "tokenizer", byte_level(), "RobertaTokenizer")
    write(FOLDER / "tokenizer-xlm-roberta", unigram(), "XLMRobertaTokenizer")
