"""A byte-level BPE learned from texts, with RoBERTa's special tokens (Sennrich et al., arXiv:1508.07909)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgeroberta.errors import UsageError
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.storage.artifact import write_json, write_text
from edgeroberta.storage.files import SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG

#: Special tokens by their ids, and the last one, ``<mask>``, which has the highest id.
FIRST, MASK = ("<s>", "<pad>", "</s>", "<unk>"), "<mask>"
#: What they are called in ``tokenizer_config.json``.
SPECIAL_NAMES = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": MASK,
}
#: Ids of ``config.json`` that follow from their places.
SPECIAL_IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
#: The least that a vocabulary holds: all bytes and the special tokens.
SMALLEST = 256 + len(FIRST) + 1


def train(chunks: Iterable[Sequence[str]], *, size: int, min_frequency: int) -> dict[str, Any]:
    """Learn merges of bytes from texts, and return the content of a ``tokenizer.json``.

    The same texts, in any chunks, give the same merges. ``chunks``: texts, read once and not kept; words and
    their counts are. ``size``: tokens, special ones included, at least :data:`SMALLEST`. ``min_frequency``:
    how often a pair must occur to be joined. Raises UsageError: the texts have no more such pairs before
    that.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ends = (("</s>", 2), ("<s>", 0))
    tokenizer.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True, add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - 1,
        min_frequency=min_frequency,
        special_tokens=[*FIRST],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(map(list, chunks), trainer)
    tokenizer.add_special_tokens([AddedToken(MASK, lstrip=True, special=True, normalized=False)])
    fields: dict[str, Any] = json.loads(tokenizer.to_str())
    vocab = fields["model"]["vocab"]
    vocab[MASK] = len(vocab)
    if len(vocab) < size:
        raise UsageError(
            f"these texts give {len(vocab):,} tokens, not {size:,}: no other pair of tokens occurs"
            f" {min_frequency:,} times",
            hint=f"size: {len(vocab)}; or give more texts",
        )
    return fields


def write(fields: dict[str, Any], destination: Path, *, max_length: int) -> None:
    """Write a tokenizer as transformers 4.57 and 5 read it.

    ``fields``: what :func:`train` returns. ``max_length``: tokens at which texts are cut, special ones
    included.
    """
    write_text(destination / TOKENIZER, TokenizerFile.text(fields))
    write_json(destination / SPECIAL_TOKENS, SPECIAL_NAMES)
    settings = {**SPECIAL_NAMES, "tokenizer_class": "RobertaTokenizer", "model_max_length": max_length}
    write_json(destination / TOKENIZER_CONFIG, {**settings, "add_prefix_space": False})
