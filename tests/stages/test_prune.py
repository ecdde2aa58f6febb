from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_latency
import numpy as np
import pytest
import stage_contexts
import torch
from fake_progress import Heard, Killed
from pydantic import ValidationError
from safetensors.torch import load_file
from stage_contexts import TASKS, checkpoint_in, rows_of

from edgeroberta import stages, targets
from edgeroberta.context import Context
from edgeroberta.errors import RecipeError
from edgeroberta.latency import measurement
from edgeroberta.progress import Meter, Progress
from edgeroberta.prune import importance
from edgeroberta.prune.importance import Importance
from edgeroberta.roberta import pruned, surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.session import choose_engine
from edgeroberta.storage.artifact import Artifact, Kind
from edgeroberta.training import batching, distillation

TASK = TASKS["single"]
RECOVERY = {"epochs": 2, "batch_size": 4, "learning_rate": 2e-3, "dropout": 0, "precision": "fp32"}
SMALL = {"heads": 0.5, "ffn": 0.5, "granularity": 8, "recovery": None}


class KillAtStart(Progress):
    """Dies when the work called ``label`` begins for the ``count``-th time."""

    def __init__(self, label: str, count: int) -> None:
        self.label, self.left = label, count

    def _begin(self, meter: Meter) -> None:
        self.left -= meter.label == self.label
        if not self.left:
            raise Killed


@pytest.fixture(scope="module")
def deep(make_checkpoint) -> Path:
    return make_checkpoint(TASK.labels, num_hidden_layers=3)


@pytest.fixture
def make_context(deep, tmp_path):
    rows = [rows_of(TASK, count, seed) for seed, count in enumerate((8, 6, 6))]
    return lambda name="run", **fields: stage_contexts.context(tmp_path / name, deep, TASK, rows, **fields)


def prune(context, **config):
    return stage_contexts.run("prune", context, **{**SMALL, **config})


def weights(context: Context) -> dict[str, torch.Tensor]:
    return dict(load_file(context.output / "model.safetensors"))


def test_parts_of_heads_and_neurons_stay_and_the_rest_is_gone(make_context):
    context = make_context()
    notes = prune(context)
    shapes = surgery.shape_of(pruned.from_pretrained(context.output)).layers
    assert [shape.to_json() for shape in shapes] == notes["steps"][0]["layers"]
    assert sum(shape.heads for shape in shapes) == 6
    assert sum(shape.intermediate for shape in shapes) == 96
    assert notes["parameters"] < notes["parameters_before"]
    assert [len(heads) for heads in notes["kept"]["heads"]] == [shape.heads for shape in shapes]
    json.dumps(notes, allow_nan=False)


@pytest.mark.parametrize("unit", ["params", "macs"])
def test_a_budget_is_met_by_heads_and_neurons_together(unit, make_context, deep):
    context = make_context()
    prune(context, heads=None, ffn=None, budget={unit: 0.5})
    before = surgery.shape_of(pruned.from_pretrained(deep))
    after = surgery.shape_of(pruned.from_pretrained(context.output))

    def cost(shape: Any) -> float:
        each = shape.layer_parameters if unit == "params" else lambda layer: shape.layer_macs(layer, 10)
        return float(sum(each(layer) for layer in shape.layers))

    assert 0.4 < cost(after) / cost(before) <= 0.51


@pytest.mark.parametrize(("layers", "left"), [(2, (0, 2)), ((1, 2), (1, 2))])
def test_whole_layers_go_where_that_is_asked_for(layers, left, make_context):
    context = make_context()
    notes = prune(context, layers=layers)
    assert notes["kept"]["layers"] == list(left)
    assert len(surgery.shape_of(pruned.from_pretrained(context.output)).layers) == 2


def test_a_budget_may_choose_the_layers(make_context):
    context = make_context()
    notes = prune(context, heads=None, ffn=None, layers="auto", budget={"params": 0.08})
    assert len(notes["kept"]["layers"]) == 1


def test_steps_prune_further_and_recover_between(make_context):
    context = make_context()
    notes = prune(context, steps=2, recovery=RECOVERY)
    first, second = ([sum(x["intermediate"] for x in s["layers"])] for s in notes["steps"])
    assert first > second == [96]
    assert [s["recovery"]["steps"] for s in notes["steps"]] == [2, 4]  # one epoch, then two, of 8 / 4
    source = {int(i) for i in range(64)}
    assert all(set(neurons) <= source for neurons in notes["kept"]["neurons"])


def test_steps_keep_parts_of_the_model_before_the_first_one_also_evenly(make_context):
    notes = prune(make_context(), steps=2, evenly=True, heads=0.5, ffn=0.5, recovery=None)
    assert notes["steps"][-1]["layers"] == [{"heads": 2, "intermediate": 32}] * 3


def test_kept_indices_are_those_of_the_source_after_several_steps(make_context, deep):
    context = make_context()
    notes = prune(context, steps=3, layers=2)
    kept = surgery.KeptUnits(
        tuple(notes["kept"]["layers"]),
        tuple(map(tuple, notes["kept"]["heads"])),
        tuple(map(tuple, notes["kept"]["neurons"])),
    )
    direct = surgery.prune(pruned.from_pretrained(deep), kept).state_dict()
    for name, value in weights(context).items():
        torch.testing.assert_close(direct[name], value, rtol=0, atol=0)


def test_a_killed_run_ends_with_the_same_weights(make_context):
    config = {"steps": 2, "recovery": {**RECOVERY, "epochs": 1, "checkpoint_seconds": 0}}
    whole = make_context("whole")
    notes = prune(whole, **config)
    for label in ("scores", "prune"):
        killed = make_context(label, progress=KillAtStart(label, 2))
        with pytest.raises(Killed):
            prune(killed, **config)
        again = replace(killed, progress=Heard())
        assert prune(again, **config) == notes
        assert [label for label, _ in again.progress.begun].count("scores") == 1
        for name, value in weights(whole).items():
            torch.testing.assert_close(weights(again)[name], value, rtol=0, atol=0)


def test_a_recovery_goes_on_only_with_the_units_that_it_began_with(make_context, monkeypatch):
    keys: list[str] = []

    def teach(plan: distillation.DistillationPlan) -> dict[str, Any]:
        keys.append(plan.key)
        return {}

    monkeypatch.setattr(distillation, "train_student", teach)
    for run, seed in enumerate((0, 0, 1)):
        random = np.random.default_rng(seed)
        scores = Importance(
            tuple(random.random(4) for _ in range(3)), tuple(random.random(64) for _ in range(3))
        )
        monkeypatch.setattr(importance, "score", lambda *given, found=scores, **named: found)
        prune(make_context(f"run-{run}"), recovery=RECOVERY)
    assert keys[0] == keys[1] != keys[2]


def test_layers_heads_and_neurons_go_together_and_learn_from_the_layers_that_they_stand_for(
    make_context, monkeypatch
):
    told, teach = [], distillation.train_student

    def listen(plan: distillation.DistillationPlan) -> Any:
        told.append((plan.layers, surgery.shape_of(plan.student)))
        return teach(plan)

    monkeypatch.setattr(distillation, "train_student", listen)
    context = make_context()
    recovery = {**RECOVERY, "weights": {"logits": 1, "hidden": 1}}
    notes = prune(context, steps=2, layers=(0, 2), recovery=recovery)
    assert [layers for layers, _ in told] == [(0, 2), (0, 2)]
    assert [len(shape.layers) for _, shape in told] == [2, 2]
    assert sum(layer.heads for layer in told[-1][1].layers) == 4
    assert sum(layer.intermediate for layer in told[-1][1].layers) == 64
    for step in notes["steps"]:
        assert step["recovery"]["history"][-1]["loss_hidden"] > 0


def test_layers_of_a_teacher_of_another_depth_are_not_taken_for_the_models_own(
    make_context, tiny_checkpoint, monkeypatch
):
    told: list[Any] = []
    monkeypatch.setattr(distillation, "train_student", lambda plan: told.append(plan.layers) or {})
    prune(make_context(), layers=(0, 2), recovery={**RECOVERY, "teacher": str(tiny_checkpoint)})
    prune(make_context("other", baseline=Checkpoint(tiny_checkpoint)), layers=(0, 2), recovery=RECOVERY)
    assert told == [None, None]


def seconds(shape: Any, length: int) -> float:
    return float(fake_latency.table(shape).times(shape, [length])[0])


def measured(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> list[Any]:
    """Put a made-up table in place of measuring; returns what was asked for."""
    asked: list[Any] = []

    def measure(request: Any, *, progress: Progress) -> Any:
        asked.append(request)
        return fake_latency.table(request.shape, **fields)

    monkeypatch.setattr(measurement, "measure", measure)
    return asked


def test_a_budget_of_seconds_is_met_on_the_targets_engine_and_the_training_texts(
    make_context, deep, monkeypatch
):
    asked, context = measured(monkeypatch), make_context()
    notes = prune(context, heads=None, ffn=None, budget={"latency": 0.5}, texts=2, max_length=4)
    (request,) = asked
    assert (request.target, request.engine, request.tokenizer) == ("cpu", None, Checkpoint(deep))
    assert list(request.inputs) == context.data.train.inputs()
    lengths = batching.tokenize(deep, context.data.train.inputs(), max_length=512).lengths
    mean = round(float(lengths.mean()))
    assert mean > 4  # not of the texts as they are cut to score on
    before, after = (surgery.shape_of(pruned.from_pretrained(folder)) for folder in (deep, context.output))
    whole, left = seconds(before, mean), fake_latency.table(before).times(after, [mean])[0]
    assert 0.4 * whole < left <= 0.5 * whole
    assert notes["cost"] == {
        "before": pytest.approx(whole), "after": pytest.approx(left), "length": mean, "threads": 1,
        "engine": "onnxruntime", "version": "1.0", "device": "a board",
    }  # fmt: skip


def test_an_engine_that_pads_is_paid_for_at_its_prepared_lengths(make_context, monkeypatch):
    measured(monkeypatch, pads=True)
    notes = prune(make_context(), heads=None, ffn=None, budget={"latency": 0.5})
    unpadded = prune(make_context("macs"), heads=None, ffn=None, budget={"macs": 0.5})
    assert notes["cost"]["length"] > unpadded["cost"]["length"]


def test_a_run_that_goes_on_counts_by_the_table_it_began_with(make_context, monkeypatch):
    config = {"heads": None, "ffn": None, "budget": {"latency": 0.5}, "steps": 2}
    measured(monkeypatch)
    whole, killed = make_context("whole"), make_context("killed", progress=KillAtStart("scores", 2))
    notes = prune(whole, **config)
    with pytest.raises(Killed):
        prune(killed, **config)
    asked = measured(monkeypatch, head=500.0)
    assert prune(replace(killed, progress=Progress()), **config) == notes
    assert not asked


@pytest.mark.slow  # 15 s on a busy machine
def test_a_budget_of_seconds_is_measured_on_this_machine(make_context):
    notes = prune(make_context(), heads=None, ffn=None, budget={"latency": 0.9})
    cost = notes["cost"]
    assert 0 < cost["after"] <= 0.9 * cost["before"] < 0.1
    assert cost["engine"] == choose_engine(None, targets.load("cpu").engines)


def test_a_named_table_is_counted_by_in_place_of_a_measured_one(make_context, deep, tmp_path, monkeypatch):
    shape, file = surgery.shape_of(pruned.from_pretrained(deep)), tmp_path / "board.json"
    asked = measured(monkeypatch)
    budget = {"latency": 0.7, "table": str(file)}
    left = []
    for head, neuron in ((40.0, 0.01), (0.1, 1.0)):
        fake_latency.table(shape, head=head, neuron=neuron).save(file)
        left.append(prune(make_context(f"{head}"), heads=None, ffn=None, budget=budget)["kept"])
    assert not asked
    assert all(len(neurons) == 64 for neurons in left[0]["neurons"])  # heads were dear
    assert all(len(heads) == 4 for heads in left[1]["heads"])


def test_a_named_table_that_does_not_fit_is_refused(make_context, deep, tmp_path):
    shape, file = surgery.shape_of(pruned.from_pretrained(deep)), tmp_path / "board.json"
    budget = {"latency": 0.7, "table": str(file)}

    def refused() -> str:
        with pytest.raises(RecipeError) as caught:
            prune(make_context(), heads=None, ffn=None, budget=budget)
        assert caught.value.where == "prune.budget.table"
        return caught.value.what

    assert "cannot be read (No such file" in refused()
    file.write_text("{}")
    assert "not a latency table" in refused()
    fake_latency.table(shape, engine="tensorrt").save(file)
    assert "is of tensorrt; the target cpu runs" in refused()
    fake_latency.table(replace(shape, head_size=4)).save(file)
    assert "heads of 4, not 32 and 8" in refused()
    fake_latency.table(shape, lengths=(1, 2)).save(file)
    assert "where the table ends at 2" in refused()


def test_a_pruned_model_can_be_pruned_again(make_context):
    first = make_context("first")
    prune(first)
    second = make_context("second", inputs={Kind.CHECKPOINT: checkpoint_in(first.output)})
    notes = prune(second, heads=1, ffn=0.5)
    assert sum(layer["heads"] for layer in notes["steps"][0]["layers"]) == 6
    assert sum(layer["intermediate"] for layer in notes["steps"][0]["layers"]) == 48


def test_a_pruned_model_is_exported_and_quantized(make_context):
    from edgeroberta.quantization.ort import open_session, run_graph
    from edgeroberta.storage.files import GRAPH

    context = make_context()
    prune(context, granularity=4)
    model = pruned.from_pretrained(context.output)
    ids = np.array([0, 5, 9, 33, 2])
    with torch.no_grad():
        expected = model(input_ids=torch.from_numpy(ids)[None]).logits.numpy()
    made = context.inputs[Kind.CHECKPOINT]
    folder, tolerance = context.output, {"export": 1e-4, "quantize": 0.5}
    inputs = {Kind.CHECKPOINT: replace(made, path=folder)}
    for name, config in (("export", {}), ("quantize", {"samples": 16, "check_samples": 8})):
        stage = stages.get(name)
        step = make_context(name, inputs=inputs)
        stage.run(stage.config(**config), step)
        inputs = {**inputs, Kind.GRAPH: Artifact(step.output, Kind.GRAPH, made.lineage)}
        logits = run_graph(open_session(step.output / GRAPH), [ids]).values
        np.testing.assert_allclose(logits, expected, atol=tolerance[name])


def test_prune_names_the_least_budget_it_can_meet(make_context):
    with pytest.raises(RecipeError, match=r"below the least that these layers reach, 0\.2") as caught:
        prune(make_context(), heads=None, ffn=None, budget={"params": 0.01})
    assert caught.value.where == "prune.budget"
    assert caught.value.exit_code == 2
    named = float(caught.value.what.rsplit(" ", 1)[1])
    prune(make_context(), heads=None, ffn=None, budget={"params": named})


def test_prune_refuses_layers_that_are_not_there(make_context):
    with pytest.raises(RecipeError, match="7") as caught:
        prune(make_context(), layers=(0, 7))
    assert caught.value.where == "prune.layers"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"budget": {"params": 0.5}, "heads": 0.5}, "either a budget, or heads and ffn"),
        ({"budget": {"params": 0.5, "macs": 0.5}}, "exactly one"),
        ({"budget": {}}, "exactly one"),
        ({"budget": {"params": 0.5, "table": "a.json"}}, "a table is of latencies"),
        ({"layers": "auto"}, "by a budget only"),
        ({"budget": {"macs": 0.5}, "evenly": True}, "leave out evenly"),
    ],
)
def test_prune_refuses_settings_that_contradict_each_other(config, message):
    with pytest.raises(ValidationError, match=message):
        stages.get("prune").config(**config)


def test_exact_shapes_are_kept_and_reached_in_steps(make_context):
    context = make_context()
    wanted = [{"heads": 1, "intermediate": 40}, {"heads": 3, "intermediate": 7}]
    notes = prune(context, heads=None, ffn=None, layers=(0, 2), shapes=wanted, steps=2)
    shapes = surgery.shape_of(pruned.from_pretrained(context.output)).layers
    assert [shape.to_json() for shape in shapes] == notes["steps"][1]["layers"] == wanted
    assert notes["steps"][0]["layers"][0]["intermediate"] > 40
    assert notes["kept"]["layers"] == [0, 2]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([{"heads": 1, "intermediate": 8}], "1 shapes for 3 layers"),
        ([{"heads": 99, "intermediate": 8}] * 3, "cannot keep 99 and 8"),
    ],
)
def test_prune_refuses_shapes_that_do_not_fit_the_model(shapes, message, make_context):
    with pytest.raises(RecipeError, match=message):
        prune(make_context(), heads=None, ffn=None, shapes=shapes)
