"""Backends: the build half of each engine, one module per engine, none of it needed on a device.

A function ``build(graph_dir, output)`` of one of these modules writes what an engine runs into a bundle
folder; :data:`BUILDERS` says which. The engines are the rows of
:data:`edgeroberta.runtime.session.ENGINES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgeroberta.errors import EdgeRobertaError, UsageError, did_you_mean, missing_extra
from edgeroberta.runtime.session import ENGINES, installed
from edgeroberta.storage.files import GRAPH

#: Graphs of a folder beside the one with a float32 body: int8 with a float16 body; float16 throughout.
INT8_GRAPH, HALF_GRAPH = "model.tensorrt.onnx", "model.fp16.onnx"
#: The int8 graph in ONNX Runtime's own operators, which no other engine reads.
ORT_GRAPH = "model.onnxruntime.onnx"

#: Engine name to the module of this package and its function that build for it.
BUILDERS = {
    "onnxruntime": ("onnxruntime", "build"),
    "openvino": ("openvino", "build"),
    "tensorrt": ("tensorrt", "build"),
    "tensorrt-fp16": ("tensorrt", "build_fp16"),
    "onnxruntime-cuda": ("tensorrt", "build_fp16"),
}
#: What builds for the engines that can share the weights of one graph.
SHARED_BUILDERS = dict.fromkeys(("onnxruntime", "openvino"), ("sharing", "build"))


def require(engines: Sequence[str]) -> None:
    """Check that a bundle can be built for these engines here; cheap, so ask before hours of work."""
    for name in engines:
        if name not in ENGINES:
            raise UsageError(
                f"there is no engine {name!r} (engines: {', '.join(ENGINES)})",
                where="engines",
                hint=did_you_mean(name, ENGINES),
            )
        # What is built on the device needs nothing here.
        if not ENGINES[name].on_device and not installed(name):
            raise missing_extra(ENGINES[name].package, ENGINES[name].extra, purpose=f"building for {name}")


def build(engine: str, graph_dir: Path, output: Path, *, share_weights: bool = False) -> tuple[str, ...]:
    """Write what an engine runs, from ``model.onnx`` or ``model.<engine>.onnx`` of a folder."""
    builders = {**BUILDERS, **(SHARED_BUILDERS if share_weights else {})}
    module, function = builders[engine]
    backend: Any = importlib.import_module(f"edgeroberta.backends.{module}")
    written: tuple[str, ...] = getattr(backend, function)(graph_dir, output)
    return written


def wants_int8_graph(engines: Iterable[str]) -> bool:
    """Tell whether one of the engines is TensorRT in int8, which takes symmetric int8 only."""
    return "tensorrt" in engines


def wants_half_graph(engines: Iterable[str]) -> bool:
    """Tell whether one of the engines runs the graph in half precision, or stands beside one that does."""
    return any(BUILDERS.get(engine, ("",))[0] == "tensorrt" for engine in engines)


def buildable(engines: Sequence[str], graph_dir: Path) -> tuple[str, ...]:
    """Leave out int8 engines where nothing was quantized, as by the recipe ``fp32``."""
    return tuple(name for name in engines if name != "tensorrt" or (graph_dir / INT8_GRAPH).is_file())


def source_graph(engine: str, graph_dir: Path) -> Path:
    """Return the graph to build from: the engine's own where there is one, else the common one."""
    for name in (f"model.{engine}.onnx", GRAPH):
        if (graph_dir / name).is_file():
            return graph_dir / name
    raise EdgeRobertaError(
        f"no {GRAPH} to build from", where=str(graph_dir), hint="run the recipe's export stage again"
    )
