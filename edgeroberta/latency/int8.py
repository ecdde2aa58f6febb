"""What int8 brings on a processor, beside floats on the same engine, and whether that is what it usually is.

A bundle of int8 that is no faster than floats gives right answers, so that no gate would notice: what it
gains is measured, and held to what processors with the same instructions give. The float graph is written
on the spot, of the bundle's own shape and with random weights, since the time hangs on the shape alone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.extras import missing
from edgeroberta.measure.clock import spread
from edgeroberta.measure.paired import PairedTimes
from edgeroberta.measure.process import WorkerError
from edgeroberta.measure.subjects import SUBJECTS
from edgeroberta.progress import Progress
from edgeroberta.runtime import lengths, manifest, processor
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.runtime.processor import declared_safe
from edgeroberta.runtime.session import ENGINES
from edgeroberta.storage.files import GRAPH

if TYPE_CHECKING:
    from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun
    from edgeroberta.roberta.config import EncoderConfig

#: Inputs that are timed, of lengths as the data's, and the seconds of turns an engine gets.
INPUTS, LIMIT_S = 12, 2.0
#: Multiply-accumulates of a text, per thread, from which int8 gains what it does for large models; below
#: the second number the costs of calls and small kernels decide.
LARGE, SMALL = 100e6, 20e6
#: Median calls this much slower than the least speak of a busy machine.
BUSY = 0.25
#: The environment's way to take instructions away from OpenVINO.
_CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


@dataclass(frozen=True)
class Instructions:
    """Instructions for int8 products."""

    name: str  # what people call them
    flags: tuple[str, ...]  # any of these in ``/proc/cpuinfo`` says that a processor has them
    #: how many times as fast as floats an engine with int8 is at least with them, for a text of
    #: :data:`LARGE`; what is less is worth a warning
    least: float


#: The best first. Measured with versions 1.32.0 (ONNX Runtime) and 2026.4.1 (OpenVINO), shapes from 2 layers
#: of 384 to 6, 8 to 512 tokens, one thread, on an EPYC of Zen 4: with AVX-512 VNNI 1.7 to 2.7 from
#: :data:`LARGE` on and 1.4 to 2.3 below; OpenVINO limited to AVX-512 without VNNI 1.5 to 1.9, to AVX2 0.7
#: to 1.0: there int8 saves size alone. ONNX Runtime's exact kernels on it: 1.3 to 1.5. An Intel Xeon with
#: AVX-512 VNNI: 1.9 to 2.2. Not measured, taken from products per cycle: AMX, AVX-VNNI, ARM.
TABLE = (
    Instructions("AMX", ("amx_int8",), 1.6),
    Instructions("AVX-512 VNNI", ("avx512_vnni",), 1.6),
    Instructions("AVX-VNNI", ("avx_vnni", "avx_vnni_int8"), 1.6),
    Instructions("AVX-512 without VNNI", ("avx512bw",), 1.3),
    Instructions("AVX2 without VNNI", ("avx2",), 1.0),
    Instructions("ARM i8mm", ("i8mm",), 1.3),
    Instructions("ARM dot products", ("asimddp",), 1.3),
    Instructions("ARM without dot products", ("asimd",), 1.0),
)
UNKNOWN = Instructions("unknown instructions", (), 1.0)


@dataclass(frozen=True)
class Int8Speedup:
    """What int8 brings on one engine. What could not be measured is None."""

    ratio: float | None = None  # how many times as fast as floats, in the engine alone
    least: float | None = None  # what it is at least on processors with these instructions, for texts as long
    low: bool = False  # True when ``ratio`` is less
    int8_ms: float | None = None  # milliseconds of a text in int8, mean over lengths as the data's
    float_ms: float | None = None  # the same in float
    tokens: int | None = None  # median length of the texts, as the engine runs them
    instructions: str = ""  # the processor's instructions for int8 products
    cause: str | None = None  # why it is low, as far as can be told
    missing: str | None = None  # why it was not measured

    @property
    def cell(self) -> str:
        """Return it for a table: ``2.31×``, ``1.10× LOW``, or a dash."""
        if self.ratio is None:
            return "–"
        return f"{self.ratio:.2f}×" + (" LOW" if self.low else "")

    def sentence(self, engine: str) -> str | None:
        """Say what is wrong with it; None where nothing is."""
        if self.missing is not None:
            return f"{engine}: int8 was not compared with floats: {self.missing}."
        if not self.low:
            return None
        return (
            f"WARNING: {engine}: int8 is only {self.ratio:.2f} times as fast as floats here "
            f"({self.int8_ms:.2f} against {self.float_ms:.2f} ms in the engine, {self.tokens} tokens), where "
            f"at least {self.least:.1f} times is usual with {self.instructions}. Likely cause: {self.cause}."
        )


def measure(
    runs: Sequence[RepetitionRun],
    bundle: Path,
    plan: RepetitionPlan,
    texts: Sequence[int],
    progress: Progress,
) -> dict[str, Int8Speedup]:
    """Measure what int8 brings on each of a bundle's engines that runs on the processor.

    Of a cascade that is its last tier, the model at the top of the bundle's folder. ``runs``: open processes,
    those of a bundle and others; a failure here does not count as theirs. Returns engine to what int8 brings
    there; empty for a bundle of floats, and without engines that ran.
    """
    facts = manifest.read(bundle)
    asked = {str(entry.worker.spec.engine): entry for entry in runs if _runs_int8(entry)}
    if facts.precision != "int8" or not asked:
        return {}
    from edgeroberta.roberta.checkpoint import Checkpoint

    config = Checkpoint(bundle).config
    usual = lengths.choose(facts.lengths, facts.max_length).usual
    macs = config.shape.macs(int(np.median(plan.tokens)) if plan.tokens else usual)
    if macs < SMALL * plan.threads:
        reason = f"a text of this model is too little work to tell ({macs / 1e6:.0f} million products)"
        return dict.fromkeys(asked, Int8Speedup(missing=reason))
    if "onnx" in missing("compress"):
        return dict.fromkeys(asked, Int8Speedup(missing="writing a float graph needs the package onnx"))
    found = {}
    with tempfile.TemporaryDirectory(prefix="edgeroberta-float-") as scratch:
        try:
            vocab_size = write_floats(config, facts, Path(scratch))
        except OSError as error:  # a small or full disk for temporary files
            reason = f"a float graph cannot be written ({error.strerror or error})"
            return dict.fromkeys(asked, Int8Speedup(missing=reason))
        rows = spread(texts, INPUTS)
        wanted = None if plan.tokens is None else list(np.resize(plan.tokens, INPUTS))
        with progress.bar("int8 over float", len(asked), "engines") as advance:
            for engine, entry in asked.items():
                try:
                    timed = entry.worker.beside(
                        Path(scratch), rows, lengths=wanted, vocab_size=vocab_size, limit_s=LIMIT_S
                    )
                    name = engine.rpartition(",")[2]
                    found[engine] = judge(timed, config, name, facts, threads=plan.threads)
                except WorkerError as error:
                    found[engine] = Int8Speedup(missing=error.what)
                advance(1, engine)
    return found


def _runs_int8(entry: RepetitionRun) -> bool:
    spec = entry.worker.spec
    known = ENGINES.get((spec.engine or "").rpartition(",")[2])
    alive = entry.error is None and spec.subject == SUBJECTS["bundle"]
    return alive and known is not None and known.precision == "int8" and not known.on_device


def write_floats(config: EncoderConfig, facts: Manifest, folder: Path) -> int:
    """Write a float ``model.onnx`` of a bundle's shape, with random weights and few tokens."""
    from edgeroberta import backends
    from edgeroberta.latency.grid import VOCABULARY
    from edgeroberta.latency.probes import random_weights
    from edgeroberta.roberta.graph import INT8_EMULATION, GraphForm, build_graph

    few = min(config.vocab_size, VOCABULARY)
    form = INT8_EMULATION if backends.wants_int8_graph(facts.engines) else GraphForm()
    graph = build_graph(random_weights(replace(config, vocab_size=few)), form=form)
    graph.builder.save(folder / GRAPH)
    return few


def judge(
    timed: PairedTimes,
    config: EncoderConfig,
    engine: str,
    facts: Manifest,
    *,
    threads: int = 1,
    root: Path = Path("/"),
) -> Int8Speedup:
    """Hold what was timed to what is usual. Returns the gain, with the likely cause where it is low."""
    known = instructions(root)
    macs = float(np.mean([config.shape.macs(length) for length in timed.tokens])) / threads
    least = known.least if macs >= LARGE else 1 + (known.least - 1) / 2
    ratio = sum(timed.other) / sum(timed.own)
    low = ratio < least
    return Int8Speedup(
        ratio=ratio,
        least=least,
        low=low,
        int8_ms=1000 * float(np.mean(timed.own)),
        float_ms=1000 * float(np.mean(timed.other)),
        tokens=int(np.median(timed.tokens)),
        instructions=known.name,
        cause=_cause(engine, facts, timed, root) if low else None,
    )


def instructions(root: Path = Path("/")) -> Instructions:
    """Return the best instructions for int8 products that the processor has."""
    text = processor.cpuinfo(root)
    flags = set((processor.field(text, "flags", "Features") or "").split())
    return next((each for each in TABLE if flags & set(each.flags)), UNKNOWN)


def _cause(engine: str, facts: Manifest, timed: PairedTimes, root: Path) -> str:
    saturates = processor.saturates(root)
    exact = engine == "onnxruntime" and not declared_safe(facts.folder)
    caps = [f"{name}={os.environ[name]}" for name in _CAPS if name in os.environ]
    if engine == "openvino" and caps:
        return f"the environment keeps OpenVINO from the processor's instructions ({', '.join(caps)})"
    if exact and saturates is None:
        return "nothing tells what this processor is, so that ONNX Runtime is asked for slow, exact kernels"
    if exact and saturates:
        return (
            "the bundle's weights can saturate on this processor, so that ONNX Runtime is asked for slow, "
            "exact kernels; edgeroberta compress … --target cpu-avx2 makes weights that cannot"
        )
    if saturates:
        return "without VNNI int8 saves size and not time; --recipe distill or fp32 keeps floats"
    if timed.noise > BUSY:
        return f"a busy machine (the median call is {timed.noise:.0%} slower than the least); measure again"
    if np.median(timed.tokens) <= lengths.BIN:
        return "short texts, for which the costs of a call count more than its products"
    return (
        "the engine's build does not use these instructions, or does not run the graph as it was written; "
        "edgeroberta check BUNDLE --target cpu tells"
    )
