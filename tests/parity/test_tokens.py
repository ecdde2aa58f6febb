from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from edgeroberta.errors import CheckpointError, DataError
from edgeroberta.parity import tokens
from edgeroberta.roberta import hftokenizer
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.tokenizer import TextTokenizer

TEXTS = ["a great film", "The story is dull."]
PAIRS = [("a great film", "The story"), ("The story is dull.", "film")]

rebuilt = pytest.mark.skipif(
    transformers.__version__.startswith("4."), reason="transformers 4 takes tokenizers from their file"
)

Edit = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.fixture
def edited(tiny_checkpoint, tmp_path) -> Callable[[Edit], Path]:
    """A function that changes tokenizer.json and tokenizer_config.json of a copy of a model."""

    def edit(change: Edit) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        for file in tiny_checkpoint.glob("*.json"):
            shutil.copy(file, folder)
        files = [folder / name for name in ("tokenizer.json", "tokenizer_config.json")]
        contents = [json.loads(file.read_text()) for file in files]
        change(*contents)
        for file, content in zip(files, contents, strict=True):
            file.write_text(json.dumps(content))
        return folder

    return edit


@pytest.mark.parametrize("inputs", [TEXTS, PAIRS], ids=["single", "pairs"])
@pytest.mark.parametrize("model", ["tiny_checkpoint", "tiny_xlmr_checkpoint", "tiny_bert_checkpoint"])
def test_ordinary_tokenizers_are_read_as_transformers_reads_them(request, model, inputs):
    assert tokens.check(Checkpoint(request.getfixturevalue(model)), inputs) is None


@pytest.mark.parametrize(
    "settings",
    [{"truncation_side": "left"}, {"split_special_tokens": True}, {"add_prefix_space": True}],
    ids=str,
)
def test_settings_that_the_runtime_knows_are_read_as_transformers_reads_them(edited, settings):
    assert tokens.check(Checkpoint(edited(lambda file, config: config.update(settings))), PAIRS) is None


@rebuilt
def test_a_normalizer_that_transformers_leaves_out_is_told_and_both_models_follow_the_file(edited):
    folder = edited(lambda file, config: file.update(normalizer={"type": "Lowercase"}))
    told = tokens.check(Checkpoint(folder), TEXTS)
    assert told is not None
    assert "'The story is dull.' gives [0, " in told
    assert "the bundle and the baseline here follow the file\n  next: write " in told
    theirs = hftokenizer.load_as_written(Checkpoint(folder))("The story is dull.")["input_ids"]
    assert theirs == TextTokenizer.open(folder, 20).encode_one("The story is dull.").ids.tolist()


@rebuilt
@pytest.mark.parametrize("step", ["class", "save"])
def test_each_of_the_next_steps_makes_file_and_transformers_agree(edited, step):
    folder = edited(lambda file, config: file.update(normalizer={"type": "Lowercase"}))
    told = tokens.check(Checkpoint(folder), TEXTS)
    assert told is not None
    config = folder / "tokenizer_config.json"
    if step == "class":
        assert 'write "tokenizer_class": "PreTrainedTokenizerFast" into tokenizer_config.json' in told
        fields = {**json.loads(config.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}
        config.write_text(json.dumps(fields))
    else:
        assert f"T.from_pretrained('{folder}').save_pretrained('{folder}')" in told
        transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    assert tokens.check(Checkpoint(folder), TEXTS) is None
    lower = TextTokenizer.open(folder, 20).encode(["THE STORY", "the story"])
    assert (lower[0].ids.tolist() == lower[1].ids.tolist()) is (step == "class")


def test_a_setting_of_another_type_is_refused_by_name_as_a_fault_of_the_model(edited):
    folder = edited(lambda file, config: config.update(split_special_tokens="true"))
    for check in (
        lambda: tokens.check(Checkpoint(folder), TEXTS),
        lambda: tokens.check_rows(Checkpoint(folder), []),
    ):
        with pytest.raises(
            CheckpointError, match="split_special_tokens is 'true', not true or false"
        ) as caught:
            check()
        assert caught.value.where == str(folder / "tokenizer_config.json")


@rebuilt
def test_a_tokenizer_without_special_tokens_is_refused_where_transformers_puts_them(edited):
    folder = edited(lambda file, config: file.update(post_processor=None))
    with pytest.raises(CheckpointError) as caught:
        tokens.check(Checkpoint(folder), TEXTS)
    assert "'a great film' gives [" in caught.value.what
    assert "tokens) here and [0, " in caught.value.what
    assert "save_pretrained" in str(caught.value.hint)


def test_a_tokenizer_without_special_tokens_is_read_where_transformers_puts_none(edited):
    def change(file: dict[str, Any], config: dict[str, Any]) -> None:
        file["post_processor"] = None
        config["tokenizer_class"] = "PreTrainedTokenizerFast"

    folder = edited(change)
    assert tokens.check(Checkpoint(folder), TEXTS) is None
    tokens.check_rows(Checkpoint(folder), [("held-out", TEXTS, 1)])
    with pytest.raises(DataError, match="row 1 of the held-out rows has no tokens at all"):
        tokens.check_rows(Checkpoint(folder), [("held-out", [""], 1)])


@pytest.mark.parametrize("place", ["added_tokens_decoder", "added_tokens.json", "additional_special_tokens"])
def test_tokens_that_are_not_in_the_file_are_named(edited, place):
    def change(file: dict[str, Any], config: dict[str, Any]) -> None:
        if place == "added_tokens_decoder":
            config[place] = {"600": {"content": "@USER", "normalized": True, "special": False}}
        elif place == "additional_special_tokens":
            config[place] = ["@USER"]

    folder = edited(change)
    if place == "added_tokens.json":
        (folder / place).write_text('{"@USER": 600}')
    with pytest.raises(CheckpointError, match="'@USER' are tokens, but not in "):
        tokens.check(Checkpoint(folder), TEXTS)


def test_second_texts_of_another_type_are_refused(edited):
    template = {
        "type": "TemplateProcessing",
        "single": [_special("<s>", 0), _text("A", 0), _special("</s>", 0)],
        "pair": [
            *(_special("<s>", 0), _text("A", 0), _special("</s>", 0)),
            *(_text("B", 1), _special("</s>", 1)),
        ],
        "special_tokens": {
            name: {"id": name, "ids": [number], "tokens": [name]}
            for name, number in (("<s>", 0), ("</s>", 2))
        },
    }
    names = ["input_ids", "token_type_ids", "attention_mask"]

    def change(file: dict[str, Any], config: dict[str, Any]) -> None:
        file["post_processor"] = template
        config.update(tokenizer_class="PreTrainedTokenizerFast", model_input_names=names)

    folder = edited(change)
    assert tokens.check(Checkpoint(folder), TEXTS) is None
    with pytest.raises(CheckpointError, match="a type other than 0, as it does for the second text of"):
        tokens.check(Checkpoint(folder), PAIRS)


def _special(name: str, kind: int) -> dict[str, Any]:
    return {"SpecialToken": {"id": name, "type_id": kind}}


def _text(name: str, kind: int) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": kind}}


def test_rows_without_an_answer_are_named(tiny_checkpoint):
    model = Checkpoint(tiny_checkpoint)
    tokens.check_rows(model, [("held-out", TEXTS, 1)])
    with pytest.raises(DataError) as caught:
        tokens.check_rows(
            Checkpoint(tiny_checkpoint),
            [("validation", TEXTS, 1), ("held-out", [*TEXTS, "so <pad> good"], 1)],
        )
    assert caught.value.what == (
        "row 3 of the held-out rows holds the padding token (id 1), to which no bundle has an answer: "
        "'so <pad> good'"
    )


def test_a_padding_token_that_is_in_every_text_is_refused(edited):
    folder = edited(lambda file, config: None)
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pad_token_id": 2}))
    with pytest.raises(CheckpointError, match="a token that the tokenizer puts into every text"):
        tokens.check_rows(Checkpoint(folder), [])


@pytest.fixture
def edited_bert(tiny_bert_checkpoint, tmp_path) -> Callable[[Edit], Path]:
    """A function that changes tokenizer.json and tokenizer_config.json of a copy of a BERT."""

    def edit(change: Edit) -> Path:
        folder = Path(shutil.copytree(tiny_bert_checkpoint, tmp_path / "bert"))
        for name, number in (("tokenizer.json", 0), ("tokenizer_config.json", 1)):
            contents: list[dict[str, Any]] = [{}, {}]
            contents[number] = json.loads((folder / name).read_text(encoding="utf-8"))
            change(*contents)
            (folder / name).write_text(json.dumps(contents[number]), encoding="utf-8")
        return folder

    return edit


@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": False},
        {"strip_accents": False},
        {"strip_accents": True, "do_lower_case": False},
        {"tokenize_chinese_chars": False},
        {"truncation_side": "left"},
        {"split_special_tokens": True},
    ],
    ids=str,
)
def test_what_the_config_says_of_berts_characters_is_read_as_transformers_reads_it(edited_bert, settings):
    folder = edited_bert(lambda file, config: config.update(settings))
    texts = ["Upper CASÉ 北京ABC很好看", "ＡＢ１２，《红楼梦》café", "한글 İstanbul"]
    assert tokens.check(Checkpoint(folder), texts) is None
    assert tokens.check(Checkpoint(folder), list(zip(texts, texts[::-1], strict=True))) is None


def test_a_setting_of_characters_that_is_no_truth_value_is_refused_by_name(edited_bert):
    folder = edited_bert(lambda file, config: config.update(do_lower_case="yes"))
    with pytest.raises(CheckpointError, match="do_lower_case is 'yes', not true or false"):
        tokens.check(Checkpoint(folder), TEXTS)


def one_type(file: dict[str, Any], config: dict[str, Any]) -> None:
    for part in file.get("post_processor", {}).get("pair", ()):
        next(iter(part.values()))["type_id"] = 0


@rebuilt
def test_a_template_of_one_type_is_followed_where_transformers_leaves_it_out(edited_bert):
    folder = edited_bert(one_type)
    told = tokens.check(Checkpoint(folder), PAIRS)
    assert told is not None
    assert "gives the tokens of the second text of ('a great film', 'The story') the type 1" in told
    assert "tokenizer.json 0; the bundle and the baseline here follow the file\n  next: write" in told


def test_a_tokenizer_that_gives_no_types_is_read_as_transformers_reads_it(edited_bert):
    folder = edited_bert(
        lambda file, config: config.update(model_input_names=["input_ids", "attention_mask"])
    )
    assert Checkpoint(folder).separator_id is None
    assert tokens.check(Checkpoint(folder), PAIRS) is None


def test_a_row_whose_first_text_holds_the_separator_is_refused_with_its_number(tiny_bert_checkpoint):
    model = Checkpoint(tiny_bert_checkpoint)
    tokens.check_rows(
        model, [("held-out", [("a film", "the [SEP] story")], 1), ("validation", ["good [SEP]"], 1)]
    )
    with pytest.raises(DataError) as caught:
        tokens.check_rows(model, [("held-out", [PAIRS[0], ("bad [SEP] film", "b")], 1)])
    assert "row 2 of the held-out rows: the first text of the pair holds the token that" in caught.value.what
    assert caught.value.code == "usage.separator"


def test_a_question_that_leaves_too_little_room_is_refused_with_its_row(tiny_checkpoint):
    model = Checkpoint(tiny_checkpoint)
    rows = [("Who?", "Anna."), ("why " * 40, "A film. " * 40)]
    tokens.check_questions(model, [("training", rows)], 512)
    with pytest.raises(DataError) as caught:
        tokens.check_questions(model, [("held-out", rows[:1]), ("training", rows)], 128)
    assert caught.value.what.startswith("row 2 of the training rows: the question has ")
    assert caught.value.code == "usage.question-too-long"
