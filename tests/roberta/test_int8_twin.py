"""The twin of an int8 graph in torch: it computes what the graph does, learns, and gives back a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from edgeroberta.roberta import heads, pruned
from edgeroberta.roberta.blocks import LinearOp
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.fake_quantized import FakeQuantize
from edgeroberta.roberta.frozen_layers import first_token_only
from edgeroberta.roberta.graph import INT8_EMULATION, Graph, GraphForm, build_graph
from edgeroberta.roberta.int8_twin import Int8Twin
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.roberta.quantized import (
    ActivationRange,
    AttentionPlan,
    FloatChannels,
    MatMulPlan,
    QuantizationPlan,
    quantize_columns,
    quantize_rows,
    quantize_weight,
)
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.roberta.weights import load_weights

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
MODELS: Mapping[str, Mapping[str, Any]] = {
    "roberta": {},
    "xlm-roberta": {"model_type": "xlm-roberta", "labels": ("a", "b", "c")},
    "two-type": {"type_vocab_size": 2, "layer_norm_eps": 1e-12},
    "bert": {"model_type": "bert"},
    "tokens": {"labels": TAGS, "problem": "token_classification"},
    "spans": {"problem": "question_answering"},
    "masks": {"problem": "fill_mask"},
    "masks, bert": {"problem": "fill_mask", "model_type": "bert"},
}
LENGTH = 12


def plan_of(graph: Graph, weights: Any, *, leave: tuple[str, ...] = (), attentions: bool = False) -> Any:
    """Every matmul in int8 but those to leave, smoothed where it may be, with biases that were corrected."""
    words = quantize_rows(weights.embeddings.word)
    random, plans = np.random.default_rng(0), {}
    for each in graph.linear_ops:
        if each.name.startswith(leave or "none"):
            continue
        grid = ActivationRange.over(-3, 5, signed="ffn.in" in each.name or attentions)
        bias = each.linear.bias + random.normal(0, 0.02, len(each.linear.bias)).astype(np.float32)
        if each.tied:
            plans[each.name] = MatMulPlan(grid, None, words.values.T, words.scale[:, 0], bias)
        else:
            plans[each.name] = int8(each, grid, bias)
    symmetric = ActivationRange.over(-4, 4, signed=True)
    grids = {each.name: AttentionPlan(symmetric, symmetric, symmetric) for each in graph.attentions}
    return QuantizationPlan(plans, words, grids if attentions else {})


def int8(each: LinearOp, grid: ActivationRange, bias: Any) -> MatMulPlan:
    weight, outliers = each.linear.weight, None
    if each.separable:
        channels = np.array([3, 17])
        outliers, weight = FloatChannels(channels, weight[channels]), weight.copy()
        weight[channels] = 0
    factors = np.linspace(0.5, 2, len(weight), dtype=np.float32)
    return MatMulPlan(grid, factors, *quantize_weight(weight * factors[:, None]), bias, outliers)


def texts_of(checkpoint: Path, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and mask int64 [count, LENGTH] of texts of several lengths, with separator and masks."""
    found = Checkpoint(checkpoint)
    pad, random = found.config.pad_token_id, np.random.default_rng(1)
    ids = random.integers(10, found.config.vocab_size, (count, LENGTH))
    if found.separator_id is not None:
        ids[:, 4] = found.separator_id
    if found.task.mask_id is not None:
        ids[:, 2] = found.task.mask_id
    mask = (np.arange(LENGTH) < random.integers(6, LENGTH + 1, (count, 1))).astype(np.int64)
    return np.where(mask == 1, ids, pad), mask


def of_graph(graph: Graph, folder: Path, ids: Any, mask: Any) -> np.ndarray:
    graph.builder.save(folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    # Every Q and DQ by itself: kernels for both sides of them round what lies between two steps differently.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def of_model(model: Any, ids: Any, mask: Any, *, first: bool = True) -> np.ndarray:
    with torch.inference_mode():
        if not first:
            return heads.answers(model, torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
        with first_token_only(model):
            return heads.answers(model, torch.from_numpy(ids), torch.from_numpy(mask)).numpy()


def assert_close(found: np.ndarray, wanted: np.ndarray, mask: np.ndarray) -> None:
    """All but a few answers are the same: a value between two steps may be rounded to either."""
    assert found.shape == wanted.shape
    if found.ndim == 3:
        found, wanted = found[mask == 1], wanted[mask == 1]
    off = np.abs(found - wanted).max(axis=1)
    assert (off < 1e-4).mean() > 0.85
    assert off.max() < 0.3 * np.ptp(wanted)


@pytest.mark.parametrize("name", MODELS)
def test_the_twin_answers_as_the_int8_graph_does(make_checkpoint, tmp_path, name):
    checkpoint = make_checkpoint(**MODELS[name])
    task = replace(Checkpoint(checkpoint).task, pair=name == "bert")
    weights = load_weights(checkpoint, pair=task.joins)
    graph = build_graph(weights)
    plan = plan_of(graph, weights)
    ids, mask = texts_of(checkpoint)
    wanted = of_graph(build_graph(weights, plan), tmp_path, ids, mask)
    model = load_classifier(checkpoint, task)
    exact = of_model(model, ids, mask)
    tied = [each.name for each in graph.linear_ops if each.tied]
    twin = Int8Twin(model, [each.name for each in graph.linear_ops], plan, tied=tied)
    found = of_model(model, ids, mask)
    assert np.abs(found - exact).max() > 0.01
    if name.startswith("masks"):  # ids of tokens that are nearly as good change places
        half = found.shape[1] // 2
        found, wanted = found[:, :half], wanted[:, :half]
    assert_close(found, wanted, mask)
    learned = twin.matmuls()
    assert learned.keys() == plan.matmuls.keys()
    twin.close()


def test_an_embedding_is_that_of_the_int8_graph(make_embedder, tmp_path):
    checkpoint = make_embedder()
    weights = load_weights(checkpoint)
    graph = build_graph(weights)
    plan = replace(plan_of(graph, weights), positions=quantize_columns(weights.embeddings.position))
    ids, mask = texts_of(checkpoint)
    wanted = of_graph(build_graph(weights, plan), tmp_path, ids, mask)
    model = load_classifier(checkpoint, Checkpoint(checkpoint).task)
    with Int8Twin(model, [each.name for each in graph.linear_ops], plan):
        assert_close(of_model(model, ids, mask), wanted, mask)


@pytest.mark.parametrize("form", [INT8_EMULATION, GraphForm()])
def test_attentions_in_int8_are_those_of_the_graph(tiny_checkpoint, tmp_path, form):
    weights = load_weights(tiny_checkpoint)
    graph = build_graph(weights, form=form)
    plan = plan_of(graph, weights, attentions=True)
    ids, mask = texts_of(tiny_checkpoint)
    wanted = of_graph(build_graph(weights, plan, form), tmp_path, ids, mask)
    model = load_classifier(tiny_checkpoint, Checkpoint(tiny_checkpoint).task)
    with Int8Twin(model, [each.name for each in graph.linear_ops], plan) as twin:
        for first in (True, False):
            assert_close(of_model(model, ids, mask, first=first), wanted, mask)
        for name, each in twin.attentions().items():
            assert each.value.scale == pytest.approx(plan.attentions[name].value.scale)
            assert each.probabilities == plan.attentions[name].probabilities


@pytest.mark.parametrize(
    "leave", ["layer.0.attention.qkv", "layer.0.attention.output", "layer.1.ffn", "head"]
)
def test_matmuls_that_stay_float_have_the_biases_of_the_graph(tiny_checkpoint, tmp_path, leave):
    weights = load_weights(tiny_checkpoint)
    graph = build_graph(weights)
    plan = plan_of(graph, weights, leave=(leave,))
    ids, mask = texts_of(tiny_checkpoint)
    wanted = of_graph(build_graph(weights, plan), tmp_path, ids, mask)
    model = load_classifier(tiny_checkpoint, Checkpoint(tiny_checkpoint).task)
    with Int8Twin(model, [each.name for each in graph.linear_ops], plan):
        assert_close(of_model(model, ids, mask), wanted, mask)


def pruned_checkpoint(source: Path, folder: Path) -> Path:
    """A model whose layers have two heads and 24 neurons, and three and 40."""
    model = load_classifier(source, Checkpoint(source).task)
    shapes = (LayerShape(2, 24), LayerShape(3, 40))
    torch.manual_seed(0)
    pruned.resize(model, shapes)
    pruned.set_shapes(model.config, shapes)
    model.save_pretrained(folder)
    for file in source.glob("*.json"):
        if not (folder / file.name).exists():
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("shaped", [False, True])
def test_what_was_learned_is_what_the_graph_then_computes(tiny_checkpoint, tmp_path, shaped):
    checkpoint = pruned_checkpoint(tiny_checkpoint, tmp_path / "pruned") if shaped else tiny_checkpoint
    weights = load_weights(checkpoint)
    graph = build_graph(weights)
    plan = plan_of(graph, weights, leave=("layer.1.ffn.in",))
    ids, mask = texts_of(checkpoint)
    model = load_classifier(checkpoint, Checkpoint(checkpoint).task)
    twin = Int8Twin(model, [each.name for each in graph.linear_ops], plan)
    model.base_model.embeddings.requires_grad_(False)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():  # as training would, all at once
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=random) * 0.01)
    found = of_model(model, ids, mask)
    plan = replace(plan, matmuls=twin.matmuls())
    twin.close()
    learned = load_weights(checkpoint, trained=model.state_dict())
    assert_close(found, of_graph(build_graph(learned, plan), tmp_path, ids, mask), mask)
    # What is put back to float afterwards has the weights before their rounding: half a step away at most.
    for each in build_graph(learned).linear_ops:
        if form := plan.matmuls.get(each.name):
            rounded = form.weight * form.weight_scale / form.smoothing[:, None]
            if form.outliers is not None:
                rounded[form.outliers.channels] = form.outliers.weight
            clipped = np.abs(form.weight) == 127
            off = np.abs(rounded - each.linear.weight) * form.smoothing[:, None] / form.weight_scale
            assert off[~clipped].max() < 0.51
            assert np.abs(each.linear.weight - rounded).max() > 0


def load(checkpoint: Path) -> Any:
    return load_classifier(checkpoint, Checkpoint(checkpoint).task)


def test_a_closed_twin_that_learned_nothing_is_the_float_model(tiny_checkpoint):
    ids, mask = texts_of(tiny_checkpoint)
    weights = load_weights(tiny_checkpoint)
    graph = build_graph(weights)
    model = load(tiny_checkpoint)
    exact = of_model(model, ids, mask)
    Int8Twin(model, [each.name for each in graph.linear_ops], plan_of(graph, weights)).close()
    np.testing.assert_allclose(of_model(model, ids, mask), exact, atol=1e-5)


def test_a_step_learns_as_lsq_has_it():
    grid = ActivationRange(0.5, 0, True)
    module = FakeQuantize(grid)
    x = torch.tensor([0.3, -0.8, 100.0], requires_grad=True)
    rounded = module(x)
    assert rounded.tolist() == [0.5, -1.0, 63.5]
    rounded.backward(torch.tensor([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [1.0, 10.0, 0.0]
    # By the step: what rounding adds, in steps, or the end of the grid; times the step, by its logarithm.
    wanted = (0.4 * 1 + (-2 + 1.6) * 10 + 127 * 100) * 0.5
    from edgeroberta.roberta.fake_quantized import RATE

    assert module.growth.grad.item() == pytest.approx(wanted * RATE, rel=1e-5)
