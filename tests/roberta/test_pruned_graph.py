"""Graphs of pruned models in the engines, against the whole model with the same parts multiplied by 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from int8_processor import exact_engines
from masking import masked, random_kept

from edgeroberta import pipeline, recipe, targets
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.progress import Progress
from edgeroberta.roberta import surgery
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.graph import INT8_EMULATION, GraphForm, write_float
from edgeroberta.roberta.loading import load_classifier, save_classifier
from edgeroberta.roberta.surgery import KeptUnits
from edgeroberta.runtime import Runtime
from edgeroberta.storage.artifact import Kind
from edgeroberta.tasks import Problem, Task

from .test_graph import padded_batch, run_onnxruntime, run_openvino

TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
#: Of four layers with four heads and 64 neurons each; the last is uneven, too.
SOME = KeptUnits((0, 2, 3), ((0, 2), (0, 1, 2, 3), (1, 3)), (tuple(range(0, 64, 3)), (5,), tuple(range(40))))


@pytest.fixture(scope="module")
def whole(make_checkpoint):
    return make_checkpoint(num_hidden_layers=4)


def prune_into(folder: Path, whole: Path, kept: KeptUnits) -> Path:
    folder.mkdir()
    save_classifier(surgery.prune(load_classifier(whole, TASK), kept), folder, tokenizer=whole)
    return folder


def masked_answer(whole: Path, kept: KeptUnits, ids: Any, mask: Any) -> Any:
    model = load_classifier(whole, TASK)
    with masked(model, kept), torch.inference_mode():
        return model(torch.from_numpy(ids), torch.from_numpy(mask)).logits.numpy()


@pytest.mark.parametrize("form", [GraphForm(), INT8_EMULATION], ids=["first token", "all tokens"])
@pytest.mark.parametrize("seed", range(4))
def test_graphs_of_many_shapes_answer_as_the_masked_model(whole, tmp_path, seed, form):
    kept, (ids, mask) = random_kept(surgery.shape_of(load_classifier(whole, TASK)), seed), padded_batch(23)
    wanted = masked_answer(whole, kept, ids, mask)
    graph = tmp_path / "model.onnx"
    write_float(prune_into(tmp_path / "pruned", whole, kept), graph, form)
    np.testing.assert_allclose(run_onnxruntime(graph, ids, mask), wanted, rtol=0, atol=1e-4)
    np.testing.assert_allclose(run_openvino(graph, ids, mask), wanted, rtol=0, atol=1e-4)


def test_a_pruned_model_that_labels_tokens_answers_as_the_masked_model(make_checkpoint, tmp_path):
    task = Task(Problem.TOKENS, ("O", "B-PER", "I-PER"))
    whole = make_checkpoint(task.labels, "token_classification", num_hidden_layers=4)
    model = load_classifier(whole, task)
    kept, (ids, mask) = random_kept(surgery.shape_of(model), 5), padded_batch(23)
    assert surgery.shape_of(model).head == "token-classification"
    with masked(model, kept), torch.inference_mode():
        wanted = model(torch.from_numpy(ids), torch.from_numpy(mask)).logits.numpy()[mask == 1]
    save_classifier(surgery.prune(load_classifier(whole, task), kept), tmp_path / "pruned", tokenizer=whole)
    again = load_classifier(tmp_path / "pruned", task)
    assert type(again).__name__ == "RobertaForTokenClassification"
    assert surgery.shape_of(again).layers == kept.shapes
    write_float(tmp_path / "pruned", tmp_path / "model.onnx")
    for run in (run_onnxruntime, run_openvino):
        found = run(tmp_path / "model.onnx", ids, mask)
        assert found.shape == (3, 23, 3)
        np.testing.assert_allclose(found[mask == 1], wanted, rtol=0, atol=1e-4)


def rows_of(count: int, name: str) -> Rows:
    words = ["good", "bad", "film", "story", "dull", "bright", "long"]
    texts = tuple(" ".join(words[: 1 + row % 7]) + f" {name} {row}" for row in range(count))
    return Rows(texts, None, np.arange(count) % 2, f"{name}.csv")


@pytest.fixture(scope="module")
def int8_bundle(whole, tmp_path_factory):
    """A pruned model by the stages of the recipe int8, up to the bundle without a verdict."""
    folder = tmp_path_factory.mktemp("int8")
    chosen = recipe.load("int8", ["quantize.samples=16", "quantize.check_samples=8", "quantize.rows=64"])
    end = [step.stage.writes for step in chosen.stages].index(Kind.DRAFT) + 1
    splits = Splits(rows_of(32, "train"), rows_of(8, "validation"), rows_of(8, "heldout"), None, TASK.labels)
    pruned = prune_into(folder / "pruned", whole, SOME)
    job = PipelineJob(
        Checkpoint(pruned), TASK, splits, targets.load("intel-cpu"), folder / "out", folder / "work"
    )
    made = pipeline.make(chosen.stages[:end], job, progress=Progress())
    return Path(made[-1].artifact.path)


@pytest.mark.parametrize("engine", exact_engines(("onnxruntime", "openvino")))
def test_int8_of_a_pruned_model_stays_close_to_the_masked_float_model(int8_bundle, whole, engine):
    with Runtime.open(int8_bundle, engine=engine, threads=1) as runtime:
        rows = [np.array(row) for row in np.random.default_rng(1).integers(5, 600, (32, 12))]
        found = runtime.run_ids(rows).values
    ids = np.stack(rows)
    wanted = masked_answer(whole, SOME, ids, np.ones_like(ids))
    # Random weights of width 32 are rough in int8 (seen: 0.05 of the spread); of other heads or neurons the
    # answers would have nothing in common.
    assert np.abs(found - wanted).mean() < 0.1 * np.ptp(wanted, axis=0).max()
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.9
