"""What is told of the rows before anything runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import edgeroberta
from edgeroberta import recipe
from edgeroberta.data import DataSpec
from edgeroberta.errors import CheckpointError, DataError, RecipeError, UsageError
from edgeroberta.pipeline import compression_inputs
from edgeroberta.pipeline.compression_inputs import CompressionInputs, CompressionRequest
from edgeroberta.tasks import MaskedTokens, Problem, Task


def test_words_that_the_model_does_not_read_are_told(make_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = ("O", "B-PER", "I-PER")
    model = make_checkpoint(labels, "token_classification", max_position_embeddings=18)
    rows = [{"tokens": [f"w{i}", "Ann", "Lee"], "ner_tags": ["O", "B-PER", "I-PER"]} for i in range(40)]
    rows.append({"tokens": ["far"] * 29 + ["Ann"], "ner_tags": ["O"] * 29 + ["B-PER"]})
    Path("x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = CompressionRequest(
        model=str(model),
        data=DataSpec("x.jsonl"),
        recipe="int8",
        overrides=(),
        target="cpu",
        output=Path("out"),
        work=None,
        reference=None,
    )
    chosen = recipe.load("int8")
    found = compression_inputs.find(request, chosen)
    assert found.told[:2] == (
        "x.jsonl: words 'tokens', tags 'ner_tags'; --text and --label choose other columns",
        "x.jsonl: 41 sentences of 150 words with 41 entities, tags in IOB2",
    )
    lost = [line for line in found.told if "beyond what the model reads of a text, in 1 of " in line]
    assert len(lost) == 1
    assert lost[0].endswith("1 of these words are in entities")

    # Held-out rows are read as by the bundle, training rows are cut.
    Path("y.jsonl").write_text(json.dumps(rows[-1]) + "\n")
    held = replace(request, data=DataSpec("x.jsonl", eval_data="y.jsonl"))
    told = "y.jsonl: of 30 words "
    assert any(line.startswith(told) for line in compression_inputs.find(held, chosen).told)
    windows = recipe.load("int8", ("build.long_text=windows",))
    assert not any(line.startswith(told) for line in compression_inputs.find(held, windows).told)


def test_a_reference_is_held_to_the_windows_of_the_recipe(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{'a great film ' * (1 + i % 2)}{i},{('negative', 'positive')[i % 2]}\n" for i in range(60)]
    Path("x.csv").write_text("text,label\n" + "".join(lines))
    edgeroberta.reference(
        tiny_checkpoint, "x.csv", output="ref", long_text="windows", stride=4, device="cpu", threads=1
    )

    def find(*overrides: str) -> CompressionInputs:
        request = CompressionRequest(
            model=str(tiny_checkpoint),
            data=DataSpec("x.csv"),
            recipe="int8",
            overrides=overrides,
            target="cpu",
            output=Path("out"),
            work=None,
            reference=Path("ref"),
        )
        return compression_inputs.find(request, recipe.load("int8", overrides))

    assert find("build.long_text=windows", "build.stride=4").data.heldout
    for wrong, told in (
        ((), "long texts are cut here, and were read in windows that overlap by 4 tokens"),
        (("build.long_text=windows", "build.stride=5"), "long texts are read in windows that overlap by 5"),
    ):
        with pytest.raises(UsageError, match=told):
            find(*wrong)
    with pytest.raises(RecipeError, match=r"build\.stride: windows of 510 tokens cannot overlap by 600"):
        find("build.long_text=windows", "build.stride=600")


def masked_words(model: Path, data: str, chosen: str, task: str | None) -> CompressionInputs:
    request = CompressionRequest(
        model=str(model),
        data=DataSpec(data),
        recipe=chosen,
        overrides=(),
        target="cpu",
        output=Path("out"),
        work=None,
        reference=None,
        task=task,
    )
    return compression_inputs.find(request, recipe.load(chosen))


@pytest.fixture
def plain(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("\n".join(f"The film number {i} is great." for i in range(60)))
    return "x.txt"


@pytest.fixture
def labelled(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    lines = [f"The film number {i} is great.,{('bad', 'good')[i % 2]}\n" for i in range(60)]
    Path("x.csv").write_text("text,label\n" + "".join(lines))
    return "x.csv"


@pytest.mark.parametrize("task", [None, "fill-mask"])
def test_a_model_that_fills_masks_is_compressed_on_plain_texts(tiny_mask_checkpoint, plain, task):
    found = masked_words(tiny_mask_checkpoint, plain, "int8", task)
    assert found.task == Task(Problem.MASKED, (), dimensions=20, mask_id=4)
    assert found.data.train.labels is None
    assert isinstance(found.data.heldout.labels, MaskedTokens)


def test_one_with_labelled_rows_must_be_asked_for_masked_words(tiny_mask_checkpoint, labelled):
    with pytest.raises(CheckpointError, match="without a classification head") as raised:
        masked_words(tiny_mask_checkpoint, labelled, "int8", None)
    assert "--task fill-mask" in str(raised.value.hint)
    found = masked_words(tiny_mask_checkpoint, labelled, "int8", "fill-mask")
    assert found.task.problem is Problem.MASKED
    assert not any("label" in line for line in found.told)
    # with a finetune stage it becomes a classifier, as any base model does
    trained = masked_words(tiny_mask_checkpoint, labelled, "finetune-int8", None)
    assert trained.task.labels == ("bad", "good")


def test_an_encoder_with_pairs_of_texts_may_embed_them_as_it_is(tiny_headless_checkpoint, plain, labelled):
    Path("pairs.csv").write_text("sentence1,sentence2,score\n" + "a,b,1\n" * 60)
    for data, told in (("pairs.csv", True), (labelled, False)):
        with pytest.raises(CheckpointError, match="nothing to compress yet") as raised:
            masked_words(tiny_headless_checkpoint, data, "int8", None)
        assert str(raised.value.hint).endswith("--pooling mean") is told


def test_questions_are_not_taken_for_texts_to_mask_unless_that_is_asked_for(
    tiny_mask_checkpoint, tmp_path, monkeypatch
):
    """Of SQuAD's JSON the questions alone would be masked, and the contexts left out."""
    monkeypatch.chdir(tmp_path)
    asked = [
        {"id": str(i), "question": f"When does {i} open?", "answers": [{"text": "nine", "answer_start": 12}]}
        for i in range(60)
    ]
    paragraph = {"context": "It opens at nine.", "qas": asked}
    Path("x.json").write_text(json.dumps({"data": [{"title": "A", "paragraphs": [paragraph]}]}))
    with pytest.raises(CheckpointError, match="without a classification head") as raised:
        masked_words(tiny_mask_checkpoint, "x.json", "int8", None)
    assert "--task fill-mask" in str(raised.value.hint)
    assert masked_words(tiny_mask_checkpoint, "x.json", "int8", "fill-mask").task.problem is Problem.MASKED


@pytest.mark.parametrize("fixture", ["tiny_headless_checkpoint", "tiny_checkpoint", "tiny_mask_checkpoint"])
def test_any_model_may_learn_masked_words(fixture, plain, request):
    model = request.getfixturevalue(fixture)
    found = masked_words(model, plain, "finetune-int8", "fill-mask")
    assert found.task == Task(Problem.MASKED, (), dimensions=20, mask_id=4)
    with pytest.raises(DataError, match="no labels") as raised:
        masked_words(model, plain, "finetune-int8", None)
    assert "--task fill-mask" in str(raised.value.hint)


def test_a_model_without_the_head_cannot_be_compressed_as_one_that_fills_masks(
    tiny_headless_checkpoint, tiny_checkpoint, plain
):
    with pytest.raises(CheckpointError, match="nothing to compress yet") as refused:
        masked_words(tiny_headless_checkpoint, plain, "int8", "fill-mask")
    assert str(refused.value.hint).endswith(", as --recipe fill-mask-int8 does")
    with pytest.raises(UsageError, match="the model is for text-classification, not for fill-mask") as raised:
        masked_words(tiny_checkpoint, plain, "int8", "fill-mask")
    assert raised.value.where == "--task"


def test_masked_words_need_a_mask_token(tiny_mask_checkpoint, plain, tmp_path):
    model = Path(shutil.copytree(tiny_mask_checkpoint, tmp_path / "model"))
    text = (model / "tokenizer.json").read_text()
    (model / "tokenizer.json").write_text(text.replace("<mask>", "<other>"))
    with pytest.raises(CheckpointError) as raised:
        masked_words(model, plain, "finetune-int8", "fill-mask")
    assert raised.value.code == "checkpoint.no-mask"
