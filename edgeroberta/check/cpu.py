"""Opens a bundle on the CPU engines and holds what they run to what the graph demands."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.check import fusion, kernels
from edgeroberta.check.fusion import PartFinding
from edgeroberta.errors import EngineError, UsageError
from edgeroberta.runtime import processor
from edgeroberta.storage.files import GRAPH

#: Machine types, as ``platform.machine`` tells them.
_X86, _ARM = ("x86_64", "AMD64"), ("aarch64", "arm64")


@dataclass(frozen=True)
class CpuKernelCheck:
    """One engine."""

    engine: str  # its name
    version: str
    judged: tuple[PartFinding, ...]  # what became of each part of the graph that demands something
    left_float: tuple[str, ...]  # matmuls that the quantizer left float; empty in a graph of floats
    kernels: int  # number of kernels that it runs
    decisive: bool  # True where a part that is not as demanded is a failure, see :func:`decisive`

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, node by node."""
        return tuple(
            f"{each.node} ({each.part.value}): {each.problem}" for each in self.judged if each.problem
        )

    @property
    def unknown(self) -> tuple[str, ...]:
        """Of what nothing is known, and why."""
        return tuple(
            f"{each.node} ({each.part.value}): {each.unknown}" for each in self.judged if each.unknown
        )

    @property
    def summary(self) -> str:
        """E.g. ``27 of 27 int8 matmuls, 6 of 6 GELUs``."""
        told = ", ".join(
            f"{right} of {demanded} {part}s" for part, (right, demanded) in fusion.counts(self.judged).items()
        )
        return told or "nothing is demanded of it"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "engine": self.engine,
            "version": self.version,
            "kernels": self.kernels,
            "decisive": self.decisive,
            "counts": {
                part: {"as_demanded": right, "demanded": demanded}
                for part, (right, demanded) in fusion.counts(self.judged).items()
            },
            "problems": list(self.problems),
            "unknown": list(self.unknown),
            "left_float": list(self.left_float),
        }


def check(bundle: Path, engines: Sequence[str], *, graph: Path | None = None) -> tuple[CpuKernelCheck, ...]:
    """Open a bundle on CPU engines as a session does, and look at what each of them runs.

    ``graph``: the ONNX graph that says what is demanded; the bundle's own where None. Returns one result per
    engine. Raises UsageError: the bundle has no ONNX graph for the CPU to compare with; EngineError: an
    engine refuses its graph; UnavailableError: an engine, or the package onnx, is not installed.
    """
    from edgeroberta.runtime import lengths, manifest

    facts = manifest.read(bundle)
    graph = graph or bundle / GRAPH
    if not graph.is_file():
        raise UsageError(
            f"the bundle has no {graph.name}, which tells what an engine should make of it",
            where=str(bundle),
            hint="build it for onnxruntime as well: edgeroberta compress … --target cpu",
        )
    wanted = fusion.demands(graph)
    length = lengths.choose(facts.lengths, facts.max_length).usual
    left = wanted.left_float if facts.precision == "int8" else ()
    found = []
    for name in engines:
        executed = kernels.read(name, bundle, threads=facts.threads, length=length)
        judged = fusion.compare(wanted, executed)
        found.append(
            CpuKernelCheck(name, executed.version, judged, left, len(executed.kernels), decisive(name))
        )
    return tuple(found)


def decisive(engine: str, root: Path = Path("/")) -> bool:
    """Tell whether an engine is known to do on this processor all that is demanded of it.

    Elsewhere a shortfall is the processor's and not the bundle's, and no reason to refuse it. ONNX Runtime
    rewrites the graph alike on x86 and ARM. OpenVINO has int8 kernels and fused attentions on x86 from AVX2
    on (seen with AVX2 and with AVX-512 VNNI, version 2026.4); on ARM its int8 is not to be relied upon.
    """
    machine = platform.machine()
    if engine == "onnxruntime":
        return machine in _X86 + _ARM
    flags = processor.field(processor.cpuinfo(root), "flags")
    return machine in _X86 and flags is not None and "avx2" in flags.split()


def require(found: Sequence[CpuKernelCheck], *, where: Path, strict: bool) -> None:
    """Refuse a bundle that an engine does not make of what is demanded.

    ``strict``: refuse what is not known, and what only the processor may be to blame for, as well. Raises
    EngineError: something is not as demanded; it names engine, node and kind.
    """
    lines = []
    for each in found:
        if strict or each.decisive:
            lines += [f"{each.engine} {each.version}: {line}" for line in each.problems]
        if strict:
            lines += [f"{each.engine} {each.version}: cannot tell of {line}" for line in each.unknown]
    if lines:
        raise EngineError(
            f"not as the graph demands: {'; '.join(lines)}",
            where=str(where),
            hint="look at all of it: edgeroberta check BUNDLE --target cpu --json"
            if strict
            else "deliver it all the same, slower: edgeroberta compress … --set build.check=false",
        )
