"""Backends: the build half of each engine, one module per engine, none of it needed on a device.

A module ``edgeroberta.backends.<engine>`` has one function, ``build(graph_dir, output)``, which writes
what the engine runs into a bundle folder. The engines are the rows of
:data:`edgeroberta.runtime.session.ENGINES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError, UnavailableError, UsageError, did_you_mean, missing_extra
from edgeroberta.runtime.session import ENGINES, installed

GRAPH = "model.onnx"


def require(engines: Sequence[str]) -> None:
    """Check that a bundle can be built for these engines here; cheap, so ask before hours of work.

    Args:
        engines: Engine names.

    Raises:
        UsageError: There is no such engine.
        UnavailableError: This version cannot build for it, or its package is not installed.
    """
    for name in engines:
        if name.startswith("tensorrt"):
            raise UnavailableError(
                "bundles for TensorRT come with a later release",
                where="--target",
                hint="edgeroberta targets",
            )
        if name not in ENGINES:
            raise UsageError(
                f"there is no engine {name!r} (engines: {', '.join(ENGINES)})",
                where="engines",
                hint=did_you_mean(name, ENGINES),
            )
        if not ENGINES[name].on_device and not installed(name):
            raise missing_extra(ENGINES[name].package, ENGINES[name].extra, purpose=f"building for {name}")


def build(engine: str, graph_dir: Path, output: Path) -> tuple[str, ...]:
    """Write what an engine runs.

    Args:
        engine: A key of :data:`~edgeroberta.runtime.session.ENGINES`.
        graph_dir: Folder with ``model.onnx``, or ``model.<engine>.onnx`` where an engine has its own.
        output: Bundle folder to write into.

    Returns:
        Names of the files written.

    Raises:
        EngineError: The engine refuses the graph.
        UnavailableError: The engine is not installed.
    """
    written: tuple[str, ...] = importlib.import_module(
        f"edgeroberta.backends.{ENGINES[engine].module}"
    ).build(graph_dir, output)
    return written


def source_graph(engine: str, graph_dir: Path) -> Path:
    """Return the graph to build from: the engine's own where there is one, else the common one.

    Args:
        engine: Engine name.
        graph_dir: Folder of graphs.

    Returns:
        Path of an ONNX file.

    Raises:
        EdgeRobertaError: There is none.
    """
    for name in (f"model.{engine}.onnx", GRAPH):
        if (graph_dir / name).is_file():
            return graph_dir / name
    raise EdgeRobertaError(
        f"no {GRAPH} to build from", where=str(graph_dir), hint="run the recipe's export stage again"
    )
