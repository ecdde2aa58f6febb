"""Reads the kernels of OpenVINO from its model of what it executes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeroberta.check.kernels import ExecutedGraph, Kernel, integers
from edgeroberta.errors import EngineError
from edgeroberta.runtime import openvino as engine
from edgeroberta.runtime.lengths import Lengths

#: OpenVINO's names of types to numpy's.
_TYPES = {
    "i8": "int8",
    "u8": "uint8",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "f64": "float64",
}
#: Kernels that run nothing.
_STORED = ("Const", "Input", "Output")


def read(folder: Path, *, threads: int, length: int) -> ExecutedGraph:
    """Compile a bundle's graph for one length, as a session does, and read what is executed."""
    session = engine.open(folder, threads=threads, lengths=Lengths((length,), ()))
    try:
        operations = [each for part in session.executed(length) for each in part.get_ordered_ops()]
        kernels = tuple(_kernel(operation) for operation in operations)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO {session.version} does not tell what it runs: {error}") from error
    finally:
        session.close()
    return ExecutedGraph(
        "openvino", session.version, tuple(each for each in kernels if each.kind not in _STORED)
    )


def _kernel(operation: Any) -> Kernel:
    facts = operation.get_rt_info()

    def fact(name: str) -> str:
        return str(facts[name].astype(str)) if name in facts else ""

    names = [_TYPES.get(each.get_element_type().get_type_name(), "") for each in operation.inputs()[:2]]
    nodes = tuple(name for name in fact("originalLayersNames").split(",") if name)
    return Kernel(fact("layerType"), nodes, integers(names), tuple(names))
