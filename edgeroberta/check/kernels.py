"""What the CPU engines make of a graph: the kernels they run, and which of the graph's nodes each one holds.

Kernels are judged by the types of their inputs, which mean the same in every version of an engine, and not
by their names, which change with the version and the processor.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kernel:
    """One operation that an engine runs."""

    kind: str  # the engine's name for it, e.g. ``MatMulIntegerToFloat`` or ``FullyConnected``.
    nodes: tuple[str, ...]  # nodes of the graph that it holds, as far as the engine tells
    #: True when its first two inputs are integers of 8 bits; False when one of them is a float; None where
    #: that cannot be told, or it has no two inputs
    integers: bool | None = None
    inputs: tuple[str, ...] = ()  # types of these inputs, in words

    def holds(self, node: str) -> bool:
        """Tell whether it holds a node, or a part that the engine has made of it (``node/part``)."""
        return any(name == node or name.startswith(f"{node}/") for name in self.nodes)


@dataclass(frozen=True)
class ExecutedGraph:
    """An engine's kernels."""

    engine: str  # name of the engine
    version: str
    kernels: tuple[Kernel, ...]  # in the order they run in

    def of(self, node: str) -> tuple[Kernel, ...]:
        """Return the kernels that hold a node."""
        return tuple(kernel for kernel in self.kernels if kernel.holds(node))

    def count(self, kind: str) -> int:
        """Return the number of kernels whose kind ends so."""
        return sum(kernel.kind.endswith(kind) for kernel in self.kernels)


#: Engine name to the module of this package that reads its kernels.
READERS = {"onnxruntime": "onnxruntime", "openvino": "openvino"}


def read(engine: str, folder: Path, *, threads: int, length: int) -> ExecutedGraph:
    """Load a bundle's graph into an engine, as a session does, and read what that runs."""
    reader: Any = importlib.import_module(f"edgeroberta.check.{READERS[engine]}")
    executed: ExecutedGraph = reader.read(folder, threads=threads, length=length)
    return executed


def integers(types: Sequence[str]) -> bool | None:
    """Tell whether inputs are integers of 8 bits, from their types as :class:`Kernel` has them.

    ``types``: ``int8``, ``uint8``, ``float32`` …; empty for one that is not known. Returns False where one of
    the first two is a float, None where one of them is something else.
    """
    first = types[:2]
    if any(each.startswith(("float", "bfloat", "double")) for each in first):
        return False
    return True if len(first) == 2 and set(first) <= {"int8", "uint8"} else None
