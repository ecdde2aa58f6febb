"""The stage ``quantize`` with distillation: int8 learns from the teacher, on tiny models of every task."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import onnx
import pytest
import stage_contexts
from asked import SPANS, question_rows
from fake_progress import Heard, Kill, Killed
from masked import splits, task_of
from pydantic import ValidationError
from stage_contexts import TASKS, rows_of

from edgeroberta import stages, targets
from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import RecipeError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import TENSORRT, write_float
from edgeroberta.storage.artifact import Artifact, Kind
from edgeroberta.training import loop

#: The teacher is a model of other random numbers: there is much to learn, and a few steps show it.
FAST = {
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "max_length": 48,
    "weights": {"logits": 1.0, "hidden": 0.0},
}
SMALL = {"samples": 32, "check_samples": 32, "rows": 128, "min_agreement": 0}


def exported(made: Context) -> Context:
    """The same with the checkpoint's float graph."""
    folder = made.scratch / "graph"
    folder.mkdir(exist_ok=True)
    write_float(made.checkpoint, folder / "model.onnx", pair=made.task.joins)
    graph = Artifact(folder, Kind.GRAPH, made.inputs[Kind.CHECKPOINT].lineage)
    return replace(made, inputs={**made.inputs, Kind.GRAPH: graph})


@pytest.fixture
def make_context(make_checkpoint, tmp_path) -> Callable[..., Context]:
    def make(name: str = "run", kind: str = "single", family: str = "roberta", **fields: Any) -> Context:
        task = TASKS[kind]
        problem = {"multi": "multi_label_classification", "regression": "regression"}.get(kind)
        problem = "token_classification" if kind == "tokens" else problem or "single_label_classification"
        model, teacher = (
            make_checkpoint(task.labels, problem, model_type=family, seed=seed) for seed in (0, 3)
        )
        rows = [rows_of(task, count, seed) for seed, count in enumerate((160, 24, 24))]
        made = stage_contexts.context(tmp_path / name, model, task, rows, **fields)
        return replace(exported(made), baseline=Checkpoint(teacher))

    return make


def run(made: Context, distill: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    learning = None if distill is None else {**FAST, **distill}
    notes = stage_contexts.run("quantize", made, **{**SMALL, **config, "distill": learning})
    json.dumps(notes, allow_nan=False)
    return notes


def written(made: Context) -> bytes:
    return (made.output / "model.onnx").read_bytes()


def operators(made: Context) -> list[tuple[str, str]]:
    return [(node.op_type, node.name) for node in onnx.load(made.output / "model.onnx").graph.node]


def assert_learned(notes: dict[str, Any], part: float = 0.9) -> None:
    assert notes["distill"]["kept"]
    assert notes["distill"]["distance"] < part * notes["distill"]["distance_before"]


def test_int8_that_learned_is_closer_in_a_graph_of_the_same_nodes(make_context):
    plain, learned = make_context("plain"), make_context("learned")
    before, after = run(plain), run(learned, {"epochs": 8}, min_agreement=0.9)
    assert "distill" not in before
    assert_learned(after, 0.7)
    assert after["distill"]["texts"] == 128  # all rows but those of the check
    assert operators(plain) == operators(learned)
    assert all(each["choice"].endswith("learned") for each in after["linear_ops"])
    # The float graph is that of before: nothing is put back to float for having left it.
    assert after["check"]["met"]


def test_a_killed_distillation_goes_on_where_it_was_and_gives_the_same_file(make_context, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    whole, killed = make_context("whole"), make_context("killed")
    run(whole, {"checkpoint_seconds": 0})
    with pytest.raises(Killed):
        run(replace(killed, progress=Kill(20, "quantize.distill")), {"checkpoint_seconds": 0})
    again = Heard()
    run(replace(killed, progress=again), {"checkpoint_seconds": 0})
    assert dict(again.begun)["quantize.distill"] >= 19
    assert written(killed) == written(whole)


def test_what_ends_further_away_is_left_out(make_context):
    plain, learned, heard = make_context("plain"), make_context("learned"), Heard()
    run(plain)
    alone = replace(learned, progress=heard, baseline=learned.checkpoint)
    notes = run(alone, {"learning_rate": 0.5, "epochs": 1})
    assert not notes["distill"]["kept"]
    assert written(learned) == written(plain)
    assert any("left out" in line for line in heard.lines)


@pytest.mark.parametrize("kind", ["pair", "multi", "regression", "tokens"])
def test_every_kind_of_rows_is_learned_from(make_context, kind):
    assert_learned(run(make_context(kind=kind, family="bert"), {}))


def test_hidden_states_are_learned_as_well(make_context):
    assert_learned(run(make_context(), {"weights": {"logits": 1.0, "hidden": 1.0}}))


def test_masked_words_are_learned_with_a_decoder_that_is_the_embeddings(make_checkpoint, tmp_path):
    model, teacher = (make_checkpoint(problem="fill_mask", seed=seed) for seed in (0, 3))
    data = splits(tmp_path, model)
    rows = (data.train, data.validation, data.heldout)
    made = exported(stage_contexts.context(tmp_path / "run", model, task_of(model), rows))
    notes = run(replace(made, baseline=Checkpoint(teacher)), {"epochs": 8, "eval_steps": 4})["distill"]
    assert notes["kept"]
    assert notes["history"][-1]["loss_logits"] < 0.9 * notes["history"][0]["loss_logits"]


def test_spans_are_learned_from_the_windows_of_long_contexts(make_checkpoint, tmp_path):
    labels = ("LABEL_0", "LABEL_1")
    model, teacher = (make_checkpoint(labels, "question_answering", seed=seed) for seed in (0, 3))
    rows = [question_rows(count, seed, words=40) for seed, count in enumerate((48, 16, 16))]
    made = exported(stage_contexts.context(tmp_path / "run", model, SPANS, rows))
    assert_learned(run(replace(made, baseline=Checkpoint(teacher)), {}, samples=16, check_samples=16))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embeddings_are_learned(make_embedder, tmp_path, pooling):
    model, teacher = (make_embedder(pooling, seed=seed) for seed in (0, 3))
    rows = [
        replace(rows_of(TASKS["pair"], count, seed), apart=True) for seed, count in enumerate((64, 16, 16))
    ]
    rows = [replace(each, labels=each.labels.astype("float32")) for each in rows]
    task = rows[0].shown(Checkpoint(model).task)
    made = exported(stage_contexts.context(tmp_path / "run", model, task, rows))
    assert_learned(run(replace(made, baseline=Checkpoint(teacher)), {}))


def test_weights_that_learned_cannot_saturate_where_none_may(make_context):
    notes = run(make_context(), {}, saturation="avoid")
    assert notes["distill"]["kept"]
    assert notes["saturation"] == {"safe": True, "linear_ops": []}
    assert all(each["saturation"]["safe"] for each in notes["linear_ops"])


def test_what_was_learned_is_in_the_graph_for_tensorrt_as_well(make_context):
    target = replace(targets.load("cpu"), engines=("tensorrt", "onnxruntime"))
    made = make_context(target=target)
    write_float(made.checkpoint, made.inputs[Kind.GRAPH].path / "model.fp16.onnx", TENSORRT)
    notes = run(made, {})
    assert_learned(notes)
    weights = [
        {each.name: each.raw_data for each in onnx.load(made.output / name).graph.initializer}
        for name in ("model.onnx", "model.tensorrt.onnx")
    ]
    assert weights[0]["layer.0.ffn.in.weight"] == weights[1]["layer.0.ffn.in.weight"]


def test_positions_and_outlier_channels_are_what_the_graph_has(make_context):
    notes = run(make_context(), {}, positions=True, outlier_channels=2)
    assert notes["positions"] == "int8"
    assert_learned(notes)


def test_settings_that_cannot_be_met_are_refused(tiny_checkpoint, tiny_mask_checkpoint):
    stage = stages.get("quantize")
    with pytest.raises(ValidationError, match="embeddings are int8 already"):
        stage.config.model_validate({"distill": {"freeze_embeddings": False}})
    model = Checkpoint(tiny_checkpoint)
    outline = RunOutline(model, model.config.shape, TASKS["single"], targets.load("cpu"))
    with pytest.raises(RecipeError, match="2 frozen layers leave nothing to learn") as caught:
        stage.check(stage.config.model_validate({"distill": {"freeze_layers": 2}}), outline)
    assert caught.value.where == "quantize.distill.freeze_layers"
    cut = replace(outline, task=task_of(tiny_mask_checkpoint), cut_vocabulary=True)
    with pytest.raises(RecipeError) as caught:
        stage.check(stage.config.model_validate({"distill": {}}), cut)
    assert caught.value.where == "quantize.distill"
    assert stage.check(stage.config.model_validate({}), cut) == cut
