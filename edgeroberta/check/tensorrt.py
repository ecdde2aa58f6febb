"""Builds a bundle's TensorRT engines ahead of time, on a CPU, and reports what they are made of."""

from __future__ import annotations

import importlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.check import expectation, expected_layers
from edgeroberta.check.expected_layers import NodeFinding, compare
from edgeroberta.errors import UnavailableError, UsageError, missing_extra
from edgeroberta.progress import Progress

PACKAGE, EXTRA = "tensorrt_rtx", "trt-check"
#: What is built for where no target tells, see :attr:`edgeroberta.targets.Target.check_sm`.
COMPUTE_CAPABILITY = "SM86"
#: Bytes of an int8 engine, at most, per byte of the float32 one: weights alone are a quarter, and every
#: profile adds kernels. With two profiles, 6 layers x 384 have 0.317 and 12 x 768 have 0.281
#: (``benchmarks/check.py``); models much smaller than these are mostly kernels, and exceed it.
LARGEST_SHARE = 0.35


@dataclass(frozen=True)
class EngineGraphCheck:
    """One engine, built."""

    engine: str  # name of the engine, e.g. ``tensorrt``.
    graph: str  # name of the file
    findings: tuple[NodeFinding, ...]  # what became of each matmul and attention
    layers: int  # layers of all profiles
    profiles: int  # their number
    fused: int  # fused attentions in all profiles, int8 or not
    graph_bytes: int
    engine_bytes: int
    seconds: float  # time to parse and build
    fp32_bytes: int | None = None  # bytes of the same model's float32 engine; None when not asked for

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, node by node."""
        return tuple(f"{each.expected.node}: {each.problem}" for each in self.findings if each.problem)

    @property
    def left_float(self) -> tuple[str, ...]:
        """Nodes that the quantizer left float; none in an engine that is float as a whole."""
        from edgeroberta.runtime.session import ENGINES

        if ENGINES[self.engine].precision != "int8":
            return ()
        return tuple(each.expected.node for each in self.findings if not each.expected.int8)

    @property
    def oversized(self) -> bool:
        """True when it exceeds :data:`LARGEST_SHARE`; told, but no failure: kernels count per profile."""
        return self.share is not None and self.share > LARGEST_SHARE

    @property
    def share(self) -> float | None:
        """Bytes per byte of the float32 engine, of an int8 engine."""
        if self.fp32_bytes is None:
            return None
        return self.engine_bytes / self.fp32_bytes

    def names(self, *, attention: bool, int8: bool) -> list[str]:
        """Return the nodes of a kind that the graph asks for in int8, or leaves float."""
        found = [each.expected for each in self.findings]
        return [each.node for each in found if (each.attention, each.int8) == (attention, int8)]


@dataclass(frozen=True)
class GraphCheck:
    """The result."""

    library: str  # name and version of the library
    compute_capability: str  # what was built for
    engines: tuple[EngineGraphCheck, ...]
    allow_float: bool = False  # accept what the quantizer left float on purpose

    @property
    def ready(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong in any of the engines, each with its graph and node."""
        return tuple(
            f"{each.graph}: {line}"
            for each in self.engines
            for line in (
                *each.problems,
                *(
                    ()
                    if self.allow_float
                    else (f"{node}: left float by the quantizer" for node in each.left_float)
                ),
            )
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "library": self.library,
            "compute_capability": self.compute_capability,
            "ready": self.ready,
            "allow_float": self.allow_float,
            "engines": [_fields(each) for each in self.engines],
        }


def _fields(checked: EngineGraphCheck) -> dict[str, Any]:
    names = ("engine", "graph", "layers", "profiles", "graph_bytes", "engine_bytes", "seconds", "fp32_bytes")
    return {
        **{name: getattr(checked, name) for name in names},
        "fused_attentions": checked.fused,
        "share_of_fp32": checked.share,
        "oversized": checked.oversized,
        "problems": list(checked.problems),
        "left_float": list(checked.left_float),
        "int8": checked.names(attention=False, int8=True),
        "float": checked.names(attention=False, int8=False),
        "int8_attentions": checked.names(attention=True, int8=True),
        "float_attentions": checked.names(attention=True, int8=False),
    }


def check(
    bundle: Path,
    *,
    compare_fp32: bool,
    progress: Progress,
    allow_float: bool = False,
    compute_capability: str = COMPUTE_CAPABILITY,
) -> GraphCheck:
    """Build each TensorRT engine of a bundle with its own optimization profiles.

    ``compare_fp32``: build the float32 engine, too, to compare sizes. ``allow_float``: accept what the
    quantizer left float on purpose. Raises UsageError: the bundle has no graph for TensorRT;
    UnavailableError: TensorRT-RTX is not installed, or does not build for that GPU; EngineError: a graph is
    refused, or has no engine, or the log of its build cannot be read.
    """
    from edgeroberta.runtime import lengths, manifest
    from edgeroberta.runtime.session import ENGINES
    from edgeroberta.runtime.tensorrt.builder import optimization_profiles

    facts = manifest.read(bundle)
    library = _library()
    _require(library, compute_capability)
    chosen = [name for name in facts.engines if name in ENGINES and ENGINES[name].module == "tensorrt"]
    if not chosen:
        raise UsageError(
            f"the bundle has no graph for TensorRT, only for {', '.join(facts.engines)}",
            where=str(bundle),
            hint="make it with: edgeroberta compress … --target jetson",
        )
    profiles = optimization_profiles(lengths.choose(facts.lengths, facts.max_length))
    found = []
    for name in chosen:
        graph = bundle / ENGINES[name].files[0]
        progress.line(f"building the engine of {graph.name} with {len(profiles)} profiles")
        wide = _wide(bundle, name, compare_fp32)
        found.append(_check_graph(_Builder(library, profiles, compute_capability), name, graph, wide))
    return GraphCheck(library.title, compute_capability, tuple(found), allow_float)


def _require(library: Any, compute_capability: str) -> None:
    if not hasattr(library.module.ComputeCapability, compute_capability):
        raise UnavailableError(
            f"{library.title} does not build for {compute_capability}",
            hint=f"install the version that is known: pip install 'edgeroberta[{EXTRA}]'",
        )


def _wide(bundle: Path, name: str, wanted: bool) -> Path | None:
    """Return the half-precision graph, of which the float32 one is made, for the int8 engine alone."""
    from edgeroberta.runtime.session import ENGINES

    graph = bundle / ENGINES["tensorrt-fp16"].files[0]
    return graph if wanted and name == "tensorrt" and graph.is_file() else None


def check_graph(
    graph: Path, profiles: tuple[Any, ...], *, engine: str = "tensorrt", compare_fp32: Path | None = None
) -> EngineGraphCheck:
    """Build the engine of one graph; ``compare_fp32``: a graph to build in float32 beside it."""
    return _check_graph(_Builder(_library(), profiles, COMPUTE_CAPABILITY), engine, graph, compare_fp32)


@dataclass(frozen=True)
class _Builder:
    """What all engines of a check are built with."""

    library: Any
    profiles: tuple[Any, ...]
    compute_capability: str

    def build(self, graph: Path) -> Any:
        from edgeroberta.runtime.tensorrt.builder import BuildOptions, build

        options = BuildOptions(self.profiles, compute_capability=self.compute_capability, least="VERBOSE")
        return build(self.library, graph, options)


def _check_graph(builder: _Builder, name: str, graph: Path, half: Path | None) -> EngineGraphCheck:
    built = builder.build(graph)
    found = expected_layers.read(message.text for message in built.messages)
    return EngineGraphCheck(
        engine=name,
        graph=graph.name,
        findings=compare(expectation.read(graph), found, len(builder.profiles)),
        layers=len(found),
        profiles=len(expected_layers.profiles(found)),
        fused=sum(layer.attention for layer in found),
        graph_bytes=sum(file.stat().st_size for file in graph.parent.glob(f"{graph.name}*")),
        engine_bytes=len(built.plan),
        seconds=built.seconds,
        fp32_bytes=None if half is None else _fp32_bytes(builder, half),
    )


def _fp32_bytes(builder: _Builder, half: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="edgeroberta-check-") as folder:
        wide = Path(folder) / "wide.onnx"
        widen(half, wide)
        return len(builder.build(wide).plan)


def _library() -> Any:
    from edgeroberta.runtime.tensorrt.library import TensorRtLibrary

    # TensorRT itself builds only for a GPU that is here.
    try:
        module = importlib.import_module(PACKAGE)
    except ModuleNotFoundError as error:
        raise missing_extra(PACKAGE, EXTRA, purpose="building engines ahead of time") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise UnavailableError(f"{PACKAGE} is installed but cannot be loaded ({error})") from error
    return TensorRtLibrary(module, PACKAGE, str(module.__version__))


def widen(graph: Path, output: Path) -> None:
    """Write a float16 ONNX file as float32; its weights go to ``<name>_data`` beside it."""
    import numpy as np
    import onnx
    from onnx import TensorProto, numpy_helper

    model = onnx.load(str(graph))
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
    onnx.save(model, str(output), save_as_external_data=True, location=f"{output.name}_data")
