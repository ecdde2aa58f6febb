from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import stage_contexts
import torch
from corpora import ListedDocuments
from fake_progress import Heard
from pydantic import ValidationError
from safetensors.torch import load_file

from edgeroberta import stages
from edgeroberta.context import RunOutline
from edgeroberta.errors import CheckpointError, DataError, EdgeRobertaError, RecipeError
from edgeroberta.roberta import checkpoint_validation, fertility
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.stages.tokenizer import TokenizerConfig
from edgeroberta.storage.artifact import Kind, digest_tree

RANDOM = random.Random(0)
WORDS = ["film", "the", "myocarditis", "great", "thrombosis", "story", "unexpected", "is", "of", "stenosis"]
TEXTS = [f"{' '.join(RANDOM.choices(WORDS, k=12))} {number}." for number in range(400)]
FAMILIES = ["tiny_checkpoint", "tiny_xlmr_checkpoint", "tiny_bert_checkpoint", "tiny_mask_checkpoint"]


@pytest.fixture
def make_context(tmp_path):
    def make(source: Path, texts=TEXTS, **more):
        task = Checkpoint(source).task
        rows = [stage_contexts.rows_of(stage_contexts.TASKS["single"], 4, seed) for seed in range(3)]
        corpus = None if texts is None else ListedDocuments(texts)
        folder = tmp_path / f"run-{random.random()}"
        return stage_contexts.context(folder, source, task, rows, progress=Heard(), corpus=corpus, **more)

    return make


def run(context, **config):
    return stage_contexts.run("tokenizer", context, **config)


def refuse(config: dict, source: Path) -> None:
    """Ask the stage's check, as a run does before anything is done."""
    stage = stages.get("tokenizer")
    model = Checkpoint(source)
    stage.check(stage.config(**config), RunOutline(model, model.config.shape, model.task, None))


@pytest.mark.parametrize("name", FAMILIES)
def test_words_of_the_texts_become_tokens(name, request, make_context):
    source = request.getfixturevalue(name)
    context, before = make_context(source), digest_tree(request.getfixturevalue(name))
    notes = run(context, vocabulary="extend", added=3)
    assert digest_tree(source) == before
    checkpoint_validation.check(Checkpoint(context.output))
    assert notes["words"] == 3
    assert {word for word, _ in notes["most_frequent"]} == {"myocarditis", "thrombosis", "unexpected"}
    assert notes["tokens"] == max(notes["tokens_before"], len(_ids(context.output)))
    assert notes["documents"] == 400
    assert notes["heldout_documents"] > 0
    assert 1 < notes["tokens_per_word"] < notes["tokens_per_word_before"]
    assert notes["characters_per_token"] > notes["characters_per_token_before"]
    assert context.progress.lines == [
        f"{notes['tokens_before']:,} -> {notes['tokens']:,} tokens, embeddings 0.1 MB -> 0.1 MB; held-out "
        f"texts {notes['tokens_per_word_before']:.2f} -> {notes['tokens_per_word']:.2f} tokens per word"
    ]


def _ids(folder: Path) -> dict[str, int]:
    tokenizer = TextTokenizer.open(folder, 512)._tokenizer
    return dict(tokenizer.get_vocab(with_added_tokens=True))


def test_held_out_texts_teach_nothing(tiny_checkpoint, make_context):
    from edgeroberta.data.document_split import is_heldout

    held = next(text for text in (f"bewildering {n}" for n in range(9999)) if is_heldout(text, 0.01))
    notes = run(make_context(tiny_checkpoint, [*TEXTS, *[held] * 50]), added=3)
    assert "bewildering" not in {word for word, _ in notes["most_frequent"]}
    notes = run(make_context(tiny_checkpoint, [*TEXTS, *[f"{held}0"] * 50]), added=99)
    assert "bewildering" in {word for word, _ in notes["most_frequent"]}


def test_a_trained_vocabulary_has_the_size_and_a_model_that_goes_with_it(tiny_mask_checkpoint, make_context):
    context = make_context(tiny_mask_checkpoint)
    notes = run(context, vocabulary="train", size=330)
    checkpoint_validation.check(Checkpoint(context.output))
    assert (notes["tokens"], notes["tokens_before"]) == (330, 600)
    assert (notes["embedding_bytes"], notes["embedding_bytes_before"]) == (330 * 128, 600 * 128)
    assert 261 <= notes["tokens_kept"] < 330
    assert len(TextTokenizer.open(context.output, 512).encode_one("a myocarditis").ids) == 4
    names = {file.name for file in context.output.iterdir()}
    assert names == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json",
    }  # fmt: skip
    again = make_context(tiny_mask_checkpoint)
    run(again, vocabulary="train", size=330)
    assert digest_tree(again.output) == digest_tree(context.output)


def test_a_list_of_words_needs_no_texts(tiny_checkpoint, make_context, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("myocarditis\nThrombus\nfilm\n\nmyocarditis\nthe\n")
    context = make_context(tiny_checkpoint, None)
    notes = run(context, words=str(words))
    assert (notes["words"], notes["pieces"]) == (2, 4)
    assert notes["tokens"] == 604
    assert "tokens_per_word" not in notes
    assert context.progress.lines == [
        "tokens already: film, the (2 of the words)",
        "600 -> 604 tokens, embeddings 0.1 MB -> 0.1 MB",
    ]
    with_texts = make_context(tiny_checkpoint)
    run(with_texts, words=str(words))
    assert with_texts.progress.lines[1] == (
        "nowhere in the texts as words that it cuts: Thrombus (1 of the words)"
    )


def test_keeping_the_vocabulary_only_measures(tiny_checkpoint, make_context):
    context = make_context(tiny_checkpoint)
    notes = run(context, vocabulary="keep")
    assert digest_tree(context.output) == digest_tree(tiny_checkpoint)
    assert notes["tokens_per_word"] == notes["tokens_per_word_before"] > 1


def test_fertility_counts_tokens_and_words(tiny_checkpoint):
    found = fertility.measure(tiny_checkpoint, ["The film is great.", "film"])
    tokenizer = TextTokenizer.open(tiny_checkpoint, 512)
    tokens = sum(len(one.ids) - 2 for one in tokenizer.encode(["The film is great.", "film"]))
    assert (found.tokens, found.words, found.characters) == (tokens, 5, 22)
    assert found.tokens_per_word == tokens / 5
    assert found.characters_per_token == 22 / tokens


def test_the_key_depends_on_texts_alone():
    stage = stages.get("tokenizer")
    assert stage.of_text
    assert (stage.reads, stage.writes) == ((Kind.CHECKPOINT,), Kind.CHECKPOINT)
    assert set(stage.depends) == {"corpus", "seed"}
    assert TokenizerConfig.CONTENT == ("words",)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vocabulary": "train", "size": 260}, "size is at least 261: all bytes and the special tokens"),
        ({"vocabulary": "train", "words": "words.txt"}, "words are added with vocabulary: extend alone"),
        ({"vocabulary": "keep", "words": "words.txt"}, "words are added with vocabulary: extend alone"),
        ({"vocabulary": "grow"}, "'train', 'extend' or 'keep'"),
        ({"min_frequency": 0}, "greater than or equal to 1"),
        ({"added": 0}, "greater than or equal to 1"),
        ({"words": ""}, "should name something"),
    ],
)
def test_settings_that_mean_nothing_are_refused(config, message):
    with pytest.raises(ValidationError, match=message):
        TokenizerConfig(**config)


@pytest.mark.parametrize(
    ("config", "texts", "where", "what"),
    [
        ({"vocabulary": "extend"}, None, "tokenizer", "texts without labels, and none were given"),
        ({"vocabulary": "train"}, None, "tokenizer", "texts without labels, and none were given"),
        ({"vocabulary": "keep"}, None, "tokenizer", "texts without labels, and none were given"),
        ({"vocabulary": "extend"}, [], "texts.txt", "no text in here"),
        ({"vocabulary": "train"}, [], "texts.txt", "no text in here"),
        (
            {"vocabulary": "train", "size": 9000},
            TEXTS,
            "tokenizer.size",
            "tokens, not 9,000: no other pair of tokens occurs 2 times",
        ),
        (
            {"vocabulary": "extend", "min_frequency": 9999},
            TEXTS,
            "tokenizer.min_frequency",
            "the texts have no word 9,999 times that is more than one token",
        ),
    ],
)
def test_texts_that_teach_nothing_are_refused(config, texts, where, what, tiny_checkpoint, make_context):
    with pytest.raises((DataError, RecipeError)) as caught:
        run(make_context(tiny_checkpoint, texts), **config)
    assert caught.value.where == where
    assert what in caught.value.what
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        ("", "", "no word in this file"),
        ("one\nheart attack\n", ":2", "'heart attack' is 2 words to the tokenizer: heart, attack"),
        ("stenosis\n\n<mask>\n", ":3", "'<mask>' is a token that the tokenizer keeps apart"),
        ("film\nthe\n", "", "all 2 words are tokens of the model already"),
    ],
)
def test_words_that_cannot_be_tokens_are_refused_before_the_run(
    content, line, what, tiny_checkpoint, tmp_path
):
    file = tmp_path / "words.txt"
    file.write_text(content)
    with pytest.raises(DataError) as caught:
        refuse({"words": str(file)}, tiny_checkpoint)
    assert (caught.value.where, caught.value.what) == (f"{file}{line}", what)
    assert caught.value.hint


def test_a_list_that_is_not_there_is_refused_before_the_run(tiny_checkpoint, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        refuse({"words": str(tmp_path / "none.txt")}, tiny_checkpoint)


def test_a_model_of_another_kind_is_refused_before_the_run(tiny_bert_checkpoint, tiny_checkpoint, tmp_path):
    refuse({"vocabulary": "extend"}, tiny_bert_checkpoint)
    with pytest.raises(CheckpointError, match="a tokenizer like RoBERTa's has its padding at 1"):
        refuse({"vocabulary": "train"}, tiny_bert_checkpoint)
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    fields = json.loads((folder / "tokenizer.json").read_text())
    fields["model"] = {
        "type": "WordLevel",
        "vocab": {"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3, "<unk>": 4},
        "unk_token": "<unk>",
    }
    fields["added_tokens"], fields["post_processor"] = [], None
    (folder / "tokenizer.json").write_text(json.dumps(fields))
    with pytest.raises(EdgeRobertaError) as caught:
        refuse({"vocabulary": "extend"}, folder)
    assert caught.value.what == (
        "the tokens of this tokenizer cannot be changed: its model is WordLevel, known are BPE, Unigram and "
        "WordPiece"
    )
    assert caught.value.hint == "leave the stages tokenizer and vocabulary out of the recipe"


def test_a_cut_vocabulary_is_refused_where_its_ids_are_those_of_before(tiny_mask_checkpoint, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_mask_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    config["original_token_ids"] = list(range(600))
    (folder / "config.json").write_text(json.dumps(config))
    for vocabulary in ("train", "extend"):
        with pytest.raises(CheckpointError, match="its vocabulary was cut"):
            refuse({"vocabulary": vocabulary}, folder)


def test_the_next_stage_knows_the_size_and_that_rows_of_masked_words_have_other_ids(tiny_mask_checkpoint):
    stage, model = stages.get("tokenizer"), Checkpoint(tiny_mask_checkpoint)
    outset = RunOutline(model, model.config.shape, model.task, None)
    trained = stage.check(stage.config(vocabulary="train", size=330), outset)
    assert trained.shape.vocab_size == 330
    with pytest.raises(RecipeError):
        trained.require_all_tokens("finetune")
    stage.check(stage.config(vocabulary="extend"), outset).require_all_tokens("finetune")
    assert stage.check(stage.config(vocabulary="keep"), outset) == outset


def test_a_model_with_new_words_learns(tiny_checkpoint, make_context):
    context = make_context(tiny_checkpoint)
    run(context, added=2)
    inputs = {Kind.CHECKPOINT: stage_contexts.checkpoint_in(context.output)}
    after = make_context(tiny_checkpoint, inputs=inputs)
    stage_contexts.run("finetune", after, epochs=1, freeze_embeddings=False, precision="fp32")
    tables = [load_file(each.output / "model.safetensors") for each in (context, after)]
    first, then = (table["roberta.embeddings.word_embeddings.weight"] for table in tables)
    assert first.shape == then.shape == (604, 32)
    assert not torch.equal(first, then)
