"""Holds a CPU engine's kernels to what its graph asks for, and names the nodes that differ.

What a graph demands, whatever shapes its layers have:

====================  ======================================  =======================================
part of the graph     ONNX Runtime                            OpenVINO
====================  ======================================  =======================================
int8 matmul           one kernel that multiplies integers     the same
GELU (erf)            one kernel (``BiasGelu``, ``Gelu``)     part of the matmul before it
GELU (tanh)           nothing: it fuses no such form          part of the matmul before it
LayerNormalization    one kernel of that name                 one ``MVN``
attention, float      nothing: two matmuls and a softmax      one kernel (``Subgraph``)
attention, int8       nothing                                 nothing: CPUs gain nothing by it
====================  ======================================  =======================================

Seen with ONNX Runtime 1.20 and 1.31, OpenVINO 2025.0 and 2026.4. Where an engine does not tell what became
of a node, nothing is claimed of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from edgeroberta.check import expectation
from edgeroberta.check.expectation import ExpectedOp, Gelu
from edgeroberta.check.kernels import ExecutedGraph, Kernel


class GraphPart(str, Enum):
    """What a node of the graph is."""

    MATMUL = "int8 matmul"
    ATTENTION = "attention"
    GELU = "GELU"
    NORM = "LayerNormalization"


@dataclass(frozen=True)
class PartFinding:
    """What became of a part of the graph."""

    node: str  # name of its node
    part: GraphPart
    problem: str | None = None  # what is wrong; None when it is as it should be, or nothing is known
    unknown: str | None = None  # why nothing is known; None otherwise


@dataclass(frozen=True)
class FusionDemands:
    """What a graph asks of an engine."""

    matmuls: tuple[ExpectedOp, ...]  # matmuls with weights, and attentions
    gelus: tuple[Gelu, ...]
    norms: tuple[str, ...]  # names of LayerNormalization nodes

    @property
    def left_float(self) -> tuple[str, ...]:
        """Names of the matmuls with weights that are float in the graph itself."""
        return tuple(each.node for each in self.matmuls if not each.attention and not each.int8)


def demands(graph: Path) -> FusionDemands:
    """Read what an ONNX graph asks for."""
    return FusionDemands(expectation.read(graph), expectation.gelus(graph), expectation.norms(graph))


def compare(wanted: FusionDemands, found: ExecutedGraph) -> tuple[PartFinding, ...]:
    """Judge each part that the graph demands something of, in the order of the table above."""
    openvino = found.engine == "openvino"
    judged = _matmuls(wanted, found)
    judged += [_gelu(each, found) for each in wanted.gelus if openvino or not each.tanh]
    if openvino:
        judged += _counted_norms(wanted.norms, found)
        judged += [_attention(each, found) for each in wanted.matmuls if each.attention and not each.int8]
    else:
        judged += [_norm(each, found) for each in wanted.norms]
    return tuple(judged)


def counts(judged: Sequence[PartFinding]) -> dict[str, tuple[int, int]]:
    """Return, per part, how many are as demanded and how many are demanded."""
    demanded = Counter(each.part.value for each in judged)
    right = Counter(each.part.value for each in judged if each.problem is None and each.unknown is None)
    return {part: (right[part], demanded[part]) for part in demanded}


def _matmuls(wanted: FusionDemands, found: ExecutedGraph) -> list[PartFinding]:
    judged = [_matmul(each.node, found) for each in wanted.matmuls if each.int8 and not each.attention]
    if not any(each.unknown for each in judged):
        return judged
    # A kernel may have lost the name of its matmul, as in OpenVINO where the matmul fell back to float.
    # Then their numbers tell: all integers, or more floats than the graph has.
    dense = [kernel for kernel in found.kernels if kernel.kind == "FullyConnected"]
    if sum(kernel.integers is True for kernel in dense) >= len(judged):
        return [replace(each, unknown=None) for each in judged]
    if sum(kernel.integers is False for kernel in dense) > len(wanted.left_float):
        said = "the engine has no int8 matmul for it, and more float ones than the graph"
        return [replace(each, problem=said, unknown=None) if each.unknown else each for each in judged]
    return judged


def _matmul(node: str, found: ExecutedGraph) -> PartFinding:
    kernels = [kernel for kernel in found.of(node) if kernel.integers is not None]
    if any(kernel.integers for kernel in kernels):
        return PartFinding(node, GraphPart.MATMUL)
    # Of the parts made of a matmul, those that scale its result take floats and say nothing of itself.
    own = [kernel for kernel in kernels if node in kernel.nodes]
    if not own:
        return PartFinding(node, GraphPart.MATMUL, unknown="no kernel that multiplies carries its name")
    types = " by ".join(own[0].inputs)
    return PartFinding(node, GraphPart.MATMUL, problem=f"the engine multiplies {types} ({own[0].kind})")


def _gelu(gelu: Gelu, found: ExecutedGraph) -> PartFinding:
    inside = [kernel for kernel in found.of(gelu.inner) if not _fused_gelu(kernel)]
    if inside:
        kinds = f"{inside[0].kind} of {gelu.inner}"
        return PartFinding(gelu.node, GraphPart.GELU, problem=f"the engine computes it in parts ({kinds})")
    if found.of(gelu.node):
        return PartFinding(gelu.node, GraphPart.GELU)
    return PartFinding(gelu.node, GraphPart.GELU, unknown="no kernel carries its name")


def _fused_gelu(kernel: Kernel) -> bool:
    return kernel.kind.lower().endswith("gelu") or kernel.kind == "FullyConnected"


def _attention(attention: ExpectedOp, found: ExecutedGraph) -> PartFinding:
    kernels = found.of(attention.node)
    if any(all(kernel.holds(node) for node in attention.matmuls) for kernel in kernels):
        return PartFinding(attention.node, GraphPart.ATTENTION)
    if not kernels:
        return PartFinding(attention.node, GraphPart.ATTENTION, unknown="no kernel carries its name")
    said = f"the engine does not fuse it: its softmax is a {kernels[0].kind} without the matmuls"
    return PartFinding(attention.node, GraphPart.ATTENTION, problem=said)


def _norm(node: str, found: ExecutedGraph) -> PartFinding:
    kernels = found.of(node)
    if any(kernel.kind.endswith("LayerNormalization") for kernel in kernels):
        return PartFinding(node, GraphPart.NORM)
    if not kernels:
        return PartFinding(node, GraphPart.NORM, unknown="no kernel carries its name")
    return PartFinding(
        node, GraphPart.NORM, problem=f"the engine computes it in parts (the last: {kernels[0].kind})"
    )


def _counted_norms(nodes: Sequence[str], found: ExecutedGraph) -> list[PartFinding]:
    """OpenVINO gives these kernels names of its own, so that only their number tells."""
    number = found.count("MVN")
    said = None if number >= len(nodes) else f"kernels that normalize: {number}, in the graph: {len(nodes)}"
    return [PartFinding(node, GraphPart.NORM, unknown=said) for node in nodes]
