from __future__ import annotations

import json
from dataclasses import replace

import pytest
import stage_contexts
import torch
from fake_progress import Kill, Killed
from pydantic import ValidationError
from safetensors.torch import load_file
from stage_contexts import TASKS, checkpoint_in, rows_of
from transformers import AutoModelForMaskedLM
from unlabelled import Reviews

from edgeroberta import stages, targets
from edgeroberta.context import RunOutline
from edgeroberta.errors import RecipeError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import Kind, digest_tree
from edgeroberta.training import loop

FAST = {
    "epochs": 2,
    "batch_size": 4,
    "accumulation": 2,
    "learning_rate": 3e-3,
    "precision": "fp32",
    "max_length": 32,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "heldout": 0.2,
}
#: What of the notes tells time, which differs from run to run.
TIMES = ("seconds", "tokens_per_second")
NARROW = {"layers": 2, "hidden_size": 16, "intermediate_size": 24}


@pytest.fixture(scope="module")
def deep(make_checkpoint):
    return make_checkpoint(problem="fill_mask", num_hidden_layers=4)


@pytest.fixture(scope="module")
def headless(make_checkpoint):
    return make_checkpoint(head=False, num_hidden_layers=4)


@pytest.fixture
def make_context(deep, tmp_path):
    def make(name="run", model=deep, **fields):
        task = TASKS["single"]
        rows = [rows_of(task, 8, seed) for seed in range(3)]
        return stage_contexts.context(tmp_path / name, model, task, rows, **{"corpus": Reviews(), **fields})

    return make


def run(context, student, **config):
    return stage_contexts.run("pretrain", context, **{**FAST, "student": student, **config})


def check(folder, student, **fields):
    model = Checkpoint(folder)
    outset = replace(RunOutline(model, model.config.shape, TASKS["single"], targets.load("cpu")), **fields)
    stage = stages.get("pretrain")
    return stage.check(stage.config(max_length=32, student=student), outset)


def test_a_student_learns_text_and_teacher_and_is_a_checkpoint_of_masked_words(make_context):
    context = make_context()
    notes = run(context, {"layers": 2}, epochs=8)
    first, last = notes["history"][1], notes["history"][-1]
    for name in ("masked", "hidden", "attention"):  # the guesses of a random teacher contradict the text
        assert last[f"loss_{name}"] < first[f"loss_{name}"], name
    assert notes["history"][0]["perplexity"] > last["perplexity"]
    assert notes["layers"] == [0, 3]
    assert notes["head_steps"] == 0
    assert notes["teacher"]["perplexity"] > 1
    made = Checkpoint(context.output)
    assert made.config.layers == 2
    assert notes["parameters"] == made.parameters < notes["parameters_before"]
    json.dumps(notes, allow_nan=False)
    model = AutoModelForMaskedLM.from_pretrained(context.output)
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight


def test_one_student_serves_several_tasks(make_context):
    context = make_context()
    run(context, NARROW)
    inputs = {Kind.CHECKPOINT: checkpoint_in(context.output)}
    for kind in ("single", "tokens"):
        task = TASKS[kind]
        rows = [rows_of(task, 16, seed) for seed in range(3)]
        folder = context.output.parent / kind
        tuned = stage_contexts.context(folder, context.output, task, rows, inputs=inputs)
        stage_contexts.run("finetune", tuned, epochs=1, batch_size=4, precision="fp32")
        smaller = stage_contexts.context(folder / "smaller", tuned.output, task, rows)
        stage_contexts.run("distill", smaller, epochs=1, batch_size=4, layers=1, precision="fp32")
        assert Checkpoint(smaller.output).config.hidden_size == 16
        assert Checkpoint(smaller.output).task == task


@pytest.mark.parametrize("student", [{"layers": 2}, {**NARROW, "weights": {"masked": 0.0}}])
def test_an_interrupted_student_run_again_gives_the_same_files(student, make_context, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    straight = make_context("straight")
    notes = run(straight, student, checkpoint_seconds=0)
    for kill in (Kill(2), Kill(3, "pretrain"), Kill(7, "pretrain")):
        with pytest.raises(Killed):
            run(make_context("resumed", progress=kill), student, checkpoint_seconds=0)
    resumed = make_context("resumed")
    found = run(resumed, student, checkpoint_seconds=0)
    assert {k: v for k, v in found.items() if k not in TIMES} == {
        k: v for k, v in notes.items() if k not in TIMES
    }
    assert digest_tree(resumed.output) == digest_tree(straight.output)


@pytest.mark.parametrize("student", [{"layers": 2}, NARROW])
def test_of_a_teacher_without_a_head_the_head_learns_alone_first(student, headless, make_context):
    context = make_context(model=headless)
    notes = run(context, student)
    assert notes["head_steps"] == -(-notes["steps"] // 10)
    assert notes["teacher"] is None
    last = notes["history"][-1]
    assert {key for key in last if key.startswith("loss_")} == {
        "loss_masked", "loss_hidden", "loss_attention",
    }  # fmt: skip
    AutoModelForMaskedLM.from_pretrained(context.output)


def test_the_head_that_learns_alone_leaves_the_encoder_as_it_was_cut(headless, make_context):
    context = make_context(model=headless)
    run(context, {"layers": (1, 3)}, head_steps=20, steps=1, learning_rate=1e-9)
    before = load_file(headless / "model.safetensors")
    after = load_file(context.output / "model.safetensors")
    for ours, theirs in ((0, 1), (1, 3)):
        kept = next(v for k, v in before.items() if k.endswith(f"layer.{theirs}.output.dense.weight"))
        name = f"roberta.encoder.layer.{ours}.output.dense.weight"
        torch.testing.assert_close(after[name], kept, rtol=0, atol=1e-6)


def test_next_sentences_are_learnt_along_by_a_student(make_context):
    notes = run(make_context(), NARROW, packing="segment-pairs")
    assert {"loss_next_sentence", "loss_hidden"} <= set(notes["history"][-1])


def test_the_next_stage_is_told_the_shape_of_the_student(deep):
    after = check(deep, NARROW)
    assert (after.shape.hidden_size, len(after.shape.layers)) == (16, 2)
    assert {(each.heads, each.intermediate) for each in after.shape.layers} == {(2, 24)}
    assert len(check(deep, {}).shape.layers) == 3  # auto: two thirds


@pytest.mark.parametrize(
    ("student", "said", "where"),
    [
        ({"layers": 5}, "5 layers cannot be cut from a teacher of 4", "layers"),
        ({"layers": 0}, "0 layers cannot be cut", "layers"),
        ({"layers": (0, 4)}, "no layer 4; the model has 4", "layers"),
        ({"layers": (2, 1)}, "layers must rise", "layers"),
        ({"hidden_size": 20}, "no multiple of the head size 8 up to 32", "hidden_size"),
        ({"hidden_size": 40}, "no multiple of the head size 8 up to 32", "hidden_size"),
        ({"intermediate_size": 4096}, "wider than the model's", "intermediate_size"),
    ],
)
def test_a_student_that_cannot_be_cut_is_refused_before_work(student, said, where, deep):
    with pytest.raises(RecipeError, match=said) as raised:
        check(deep, student)
    assert raised.value.where == f"pretrain.student.{where}"
    assert raised.value.hint


@pytest.mark.parametrize(("weights", "where"), [({"logits": 1.0}, "logits"), ({"masked": 0.0}, "masked")])
def test_what_a_teacher_without_a_head_cannot_teach_is_refused_before_work(weights, where, headless, deep):
    with pytest.raises(RecipeError, match="the teacher has no head for masked words") as raised:
        check(headless, {"weights": weights})
    assert raised.value.where == f"pretrain.student.weights.{where}"
    check(headless, {"weights": weights}, masked_words=True)  # an earlier stage gives it one
    check(deep, {"weights": weights})


def test_a_stage_gives_the_next_one_a_teacher_with_a_head(headless):
    assert check(headless, {}).masked_words


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"student": {}, "initialization": "random"}, "a student is cut from the model"),
        ({"student": {}, "layers": 2}, "layers is not of the student: write student: {layers: …}"),
        ({"student": {"weights": {"masked": 0, "logits": 0, "hidden": 0, "attention": 0}}}, "learn nothing"),
        ({"student": {"weights": {"masked": 0, "logits": 0}}}, "the student's head would learn nothing"),
        ({"student": {"weights": {"hidden": -1}}}, "greater than or equal to 0"),
        ({"student": {"temperature": 0}}, "greater than 0"),
        ({"student": {"layers": 1.5}}, "1.5 is no part"),
        ({"student": {"layers": "most"}}, "auto"),
        ({"student": {"teacher": "roberta-large"}}, "Extra inputs"),
        ({"student": {}, "freeze_layers": 1}, "frozen layers need frozen embeddings"),
    ],
)
def test_settings_of_a_student_that_cannot_be_are_refused(config, said):
    with pytest.raises(ValidationError, match=said):
        stages.get("pretrain").config(**config)


def test_freezing_all_layers_of_a_student_is_refused(deep):
    model = Checkpoint(deep)
    outset = RunOutline(model, model.config.shape, TASKS["single"], targets.load("cpu"))
    stage = stages.get("pretrain")
    config = stage.config(max_length=32, student={"layers": 2}, freeze_embeddings=True, freeze_layers=2)
    with pytest.raises(RecipeError, match="2 frozen layers leave nothing to learn in a model of 2"):
        stage.check(config, outset)
