from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import stage_contexts
import torch
from stage_contexts import TASKS, rows_of

from edgeroberta import stages, targets
from edgeroberta.context import RunOutline
from edgeroberta.errors import EdgeRobertaError, RecipeError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.runtime import Runtime
from edgeroberta.storage.artifact import Artifact, Kind, Lineage, digest_tree
from edgeroberta.tasks import Problem, Task
from edgeroberta.training import batching, prediction, static_student

FAST = {"epochs": 3, "batch_size": 8, "pairs": 256}
WHOLE = ("single", "pair", "multi", "regression")


@pytest.fixture(scope="module")
def teachers(make_checkpoint) -> dict[str, Path]:
    """A classifier for each kind of task that answers texts as a whole."""
    return {kind: make_checkpoint(TASKS[kind].labels, TASKS[kind].problem.value) for kind in WHOLE}


@pytest.fixture
def make_context(teachers, tmp_path):
    def make(name="run", kind="single", told=True, **fields):
        task = TASKS[kind]
        rows = [rows_of(task, count, seed, told=told) for seed, count in enumerate((96, 32, 32))]
        return stage_contexts.context(tmp_path / name, teachers[kind], task, rows, **fields)

    return make


def static(context, **config):
    return stage_contexts.run("static", context, **{**FAST, **config})


def logits(folder: Path, texts) -> np.ndarray:
    """What the written graph says of texts, one by one."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    tokens = batching.tokenize(folder, texts, max_length=128)
    found = []
    for row in range(len(texts)):
        ids, mask = tokens.batch(np.array([row]))
        found.append(session.run(None, {"input_ids": ids, "attention_mask": mask})[0][0])
    return np.stack(found)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_static_model_of_every_task_of_whole_texts_learns(kind, make_context):
    context = make_context(kind=kind)
    notes = static(context, epochs=8, hard=4)
    first, best = notes["history"][0]["score"], notes["best_score"]
    assert best >= first
    # Texts tell their label by one word, which a sum over words reads; of pairs only one text does, and a sum
    # does not know which.
    assert best > (0.6 if kind == "pair" else 0.8)
    assert notes["entries"] == 600 + 256
    json.dumps(notes, allow_nan=False)


def test_the_teacher_is_learnt_from_without_a_label(make_context):
    context = make_context(told=False)
    rows = replace(context.data.train, labels=None)
    static(replace(context, data=replace(context.data, train=rows)), epochs=30, hard=0)
    texts = list(rows.read())
    found = logits(context.output, texts)
    teacher = load_classifier(context.baseline, context.task)
    tokens = batching.tokenize(context.baseline, texts, max_length=128)
    expected = prediction.predict(teacher, tokens).values
    assert np.corrcoef(found[:, 1] - found[:, 0], expected[:, 1] - expected[:, 0])[0, 1] > 0.5


def test_the_graph_says_what_the_student_says_and_a_second_run_writes_the_same(make_context):
    context, again = make_context(), make_context("again")
    kept = {}
    before = static_student.train

    def keep(run):
        notes = before(run)
        kept["student"] = run.student
        return notes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(static_student, "train", keep)
        static(context)
    static(again)
    assert digest_tree(context.output) == digest_tree(again.output)
    texts = ["a great film", "boring", "of the plot and the music of a lovely film"]
    tokens = batching.tokenize(context.checkpoint, texts, max_length=128)
    with torch.inference_mode():
        expected = static_student.answers(kept["student"], tokens).values
    np.testing.assert_allclose(logits(context.output, texts), expected, rtol=1e-4, atol=1e-5)


def test_a_bundle_is_built_of_it_which_opens_on_every_engine(make_context, tmp_path):
    context = make_context()
    static(context)
    made = Artifact(context.output, Kind.GRAPH, Lineage("static", "", {}, 0, {}, {}, 0.0))
    output = tmp_path / "draft"
    output.mkdir()
    building = replace(context, output=output, inputs={**context.inputs, Kind.GRAPH: made})
    notes = stages.get("build").run(stages.get("build").config(), building)
    expected = logits(context.output, ["a great film"])
    for engine in notes["engines"]:
        with Runtime.open(output, engine=engine) as runtime:
            np.testing.assert_allclose(runtime.logits(["a great film"]), expected, rtol=1e-4, atol=1e-5)


def test_engines_on_devices_get_the_same_graph(make_context):
    context = make_context(target=targets.load("jetson"))
    notes = static(context)
    assert notes["files"] == ["model.onnx", "model.fp16.onnx", "model.tensorrt.onnx"]
    contents = {(context.output / name).read_bytes() for name in notes["files"]}
    assert len(contents) == 1


@pytest.mark.parametrize("kind", ["tokens", "spans", "masked", "embedding"])
def test_answers_that_are_not_of_a_whole_text_are_refused_before_the_run(kind, tiny_checkpoint):
    task = {
        "tokens": TASKS["tokens"],
        "spans": Task(Problem.SPANS, (), pair=True),
        "masked": Task(Problem.MASKED, ()),
        "embedding": Task(Problem.EMBEDDING, ()),
    }[kind]
    stage = stages.get("static")
    outset = RunOutline(Checkpoint(tiny_checkpoint), None, task, targets.load("cpu"))
    assert stage.check is not None
    with pytest.raises(RecipeError, match="static model"):
        stage.check(stage.config(), outset)
    fine = replace(outset, task=TASKS["single"])
    assert stage.check(stage.config(), fine) == replace(fine, without_layers=True)


@pytest.mark.parametrize("name", ["export", "quantize"])
def test_no_other_graph_takes_the_place_of_a_static_one(name, tiny_checkpoint):
    later = stages.get(name)
    outset = RunOutline(Checkpoint(tiny_checkpoint), None, TASKS["single"], targets.load("cpu"))
    assert later.check is not None
    assert later.check(later.config(), outset) is outset
    after = stages.get("static").check(stages.get("static").config(), outset)
    with pytest.raises(RecipeError, match=f"leave out {name}"):
        later.check(later.config(), after)


def test_a_rate_that_is_too_high_is_named(make_context, monkeypatch):
    monkeypatch.setattr(static_student, "_loss", lambda run, rows: run.student.bias.sum() * float("nan"))
    with pytest.raises(EdgeRobertaError, match="no longer a finite number at step 1 of 36") as caught:
        static(make_context())
    assert "static.learning_rate=0.00125" in str(caught.value.hint)


def test_tokens_that_no_text_has_vote_as_their_embeddings_do(make_context):
    """A word's entry is 0 where no text has it; the map of embeddings still gives it a vote."""
    context = make_context()
    static(context, pairs=0)
    answers = logits(context.output, ["terrible", "Please", "seats"])
    assert np.abs(answers[1] - answers[2]).max() > 1e-3


def test_many_labels_are_told_by_fewer_votes(make_checkpoint, tmp_path):
    labels = tuple(f"intent {number}" for number in range(40))
    model = make_checkpoint(labels)
    task = Task.from_config(json.loads((model / "config.json").read_text()))
    rows = [replace(rows_of(TASKS["single"], 40, seed), labels=np.arange(40)) for seed in range(3)]
    context = stage_contexts.context(tmp_path, model, task, rows)
    notes = static(context)
    assert notes["bytes"] < (600 + 256) * 40 * 4
    assert logits(context.output, ["a great film"]).shape == (1, 40)
