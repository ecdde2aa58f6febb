"""Probe models: graphs of a given shape with random weights, int8 as the quantizer writes them, or float.

The time of an int8 graph hangs on its shape and on which matmuls are int8, not on the numbers in it, so that
probes need neither training nor calibration: ranges are fixed and plausible. What the quantizer may add to a
graph, and a probe therefore has, are a multiplication before a matmul (SmoothQuant, see :data:`UNSMOOTHED`)
and zero points.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from edgeroberta import extras
from edgeroberta.errors import missing_extra
from edgeroberta.latency.grid import FILLED, VOCABULARY, LatencyProbe, ProbePlan, ProbePrecision
from edgeroberta.progress import Progress
from edgeroberta.roberta import heads
from edgeroberta.roberta.arrays import Array, LayerNorm, Linear
from edgeroberta.roberta.blocks import LinearOp
from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.roberta.graph import INT8_EMULATION, ONNXRUNTIME, TENSORRT, GraphForm, build_graph
from edgeroberta.roberta.heads import HEADS
from edgeroberta.roberta.quantized import (
    ActivationRange,
    AttentionPlan,
    MatMulPlan,
    QuantizationPlan,
    quantize_rows,
    quantize_weight,
)
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.roberta.weights import Embeddings, EncoderLayer, StoredTensors, Weights
from edgeroberta.storage.files import GRAPH

#: The one matmul whose input the quantizer hardly ever divides per channel; see
#: :data:`edgeroberta.quantization.scales.SMOOTHING`. On SST-2 it did so for 26 of the other 26.
UNSMOOTHED = "head.projection"
#: Reach of activations; see the module's text.
_REACH = 4.0


def write(plan: ProbePlan, folder: Path, *, targets_tensorrt: bool, progress: Progress) -> None:
    """Write all probes of a plan, each into a folder of its own.

    ``targets_tensorrt``: the bundle is for a target that runs TensorRT: its attentions are int8, too. Raises
    EngineError: the engine refuses a graph; UnavailableError: the package onnx is not installed, or an engine
    that writes its own files.
    """
    from edgeroberta import backends

    if "onnx" in extras.missing("compress"):
        raise missing_extra("onnx", "compress", purpose="writing probes")
    with progress.bar("write", len(plan.probes), "probes") as advance:
        for probe in plan.probes:
            place = folder / probe.name
            place.mkdir()
            with tempfile.TemporaryDirectory(dir=folder) as made:
                _write_graphs(plan, probe, Path(made), targets_tensorrt=targets_tensorrt)
                backends.build(probe.engine, Path(made), place)
            advance(1, probe.name)


def _write_graphs(plan: ProbePlan, probe: LatencyProbe, folder: Path, *, targets_tensorrt: bool) -> None:
    """Write the graph that the probe's engine is built from, as the stages export and quantize do."""
    from edgeroberta import backends
    from edgeroberta.runtime.session import ENGINES

    weights = random_weights(_config(plan, probe.layers))
    if ENGINES[probe.engine].precision == "fp16":
        build_graph(weights, form=TENSORRT).builder.save(folder / backends.HALF_GRAPH)
        return
    if probe.precision is ProbePrecision.FLOAT:
        build_graph(weights).builder.save(folder / GRAPH)
        return
    form = INT8_EMULATION if targets_tensorrt else GraphForm()
    numbers = plausible_plan(weights, form, attention=targets_tensorrt)
    if probe.engine == "tensorrt":
        build_graph(weights, numbers, TENSORRT).builder.save(folder / backends.INT8_GRAPH)
    else:
        own = probe.engine == "onnxruntime" and not targets_tensorrt
        build_graph(weights, numbers, ONNXRUNTIME if own else form).builder.save(folder / GRAPH)


def random_weights(config: EncoderConfig, *, seed: int = 0) -> Weights:
    """Make weights of a given shape under which values keep their size from layer to layer."""
    rng = np.random.default_rng(seed)
    hidden = config.hidden_size

    def linear(inputs: int, outputs: int) -> Linear:
        weight = rng.standard_normal((inputs, outputs), np.float32) / np.float32(np.sqrt(inputs))
        return Linear(weight, rng.standard_normal(outputs, np.float32) * np.float32(0.02))

    def norm() -> LayerNorm:
        return LayerNorm(np.ones(hidden, np.float32), np.zeros(hidden, np.float32))

    def layer(shape: LayerShape) -> EncoderLayer:
        width = shape.heads * config.head_size
        query, key, value = (linear(hidden, width) for _ in range(3))
        return EncoderLayer(
            query=query,
            key=key,
            value=value,
            attention_output=linear(width, hidden),
            attention_norm=norm(),
            ffn_in=linear(hidden, shape.intermediate),
            ffn_out=linear(shape.intermediate, hidden),
            ffn_norm=norm(),
            heads=shape.heads,
        )

    words = rng.standard_normal((config.vocab_size, hidden), np.float32)
    positions = rng.standard_normal((config.max_length, hidden), np.float32)
    kind = HEADS[config.head]
    stored = dict(heads.shapes(kind, hidden, config.num_labels, config.vocab_size))

    def tensor(name: str) -> Array:
        *outputs, inputs = stored[name]
        scale = 1 / np.sqrt(inputs) if outputs else 0.02
        return rng.standard_normal(stored[name], np.float32) * np.float32(scale)

    head = kind.load(StoredTensors(config, words, tensor))
    stack = tuple(layer(shape) for shape in config.layer_shapes)
    return Weights(config, Embeddings(words, positions, norm()), stack, head)


def plausible_plan(weights: Weights, form: GraphForm, *, attention: bool) -> QuantizationPlan:
    """Make every matmul and the word table int8, with fixed ranges.

    ``attention``: write the two products of each attention in int8 as well, as for TensorRT, which also takes
    nothing but int8 with zero point 0.
    """
    graph = build_graph(weights, form=form)
    grid = ActivationRange.over(-_REACH / 4, _REACH, signed=attention)
    matmuls = {linear_op.name: _int8(linear_op, grid) for linear_op in graph.linear_ops}
    symmetric = ActivationRange.over(-_REACH, _REACH, signed=True)
    attentions = {
        each.name: AttentionPlan(symmetric, symmetric, symmetric) for each in graph.attentions if attention
    }
    return QuantizationPlan(matmuls, quantize_rows(weights.embeddings.word), attentions)


def _int8(linear_op: LinearOp, grid: ActivationRange) -> MatMulPlan:
    weight, scale = quantize_weight(linear_op.linear.weight)
    smoothing = None
    if linear_op.name != UNSMOOTHED:
        smoothing = np.full(len(weight), 1.25, np.float32)
    return MatMulPlan(grid, smoothing, weight, scale, linear_op.linear.bias)


def _config(plan: ProbePlan, layers: tuple[LayerShape, ...]) -> EncoderConfig:
    """Describe a probe as an unpruned model of its head size; layers may have fewer heads."""
    fills = plan.shape.head == "fill-mask"
    return EncoderConfig(
        family="roberta",
        vocab_size=plan.shape.vocab_size if fills else VOCABULARY,  # of masks, the vocabulary is the output
        mask_id=FILLED if fills else None,
        hidden_size=plan.shape.hidden_size,
        layers=len(layers),
        layer_shapes=tuple(layers),
        heads=plan.shape.hidden_size // plan.shape.head_size,
        intermediate_size=max(layer.intermediate for layer in layers),
        max_positions=plan.shape.max_positions,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=1,
        activation=plan.activation,
        num_labels=plan.shape.labels,
        head=plan.shape.head,
    )
