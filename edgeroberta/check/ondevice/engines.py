"""What became of each engine that was built, which one is kept, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edgeroberta.measure.clock import Latency
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.runtime.session import ENGINES
from edgeroberta.runtime.tensorrt.layer_info import Inspection, fell_back_by_size

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class BuiltEngine:
    """One engine. What could not be found out is None."""

    engine: str  # its name
    precision: str  # ``int8`` or ``fp16``
    version: str | None = None  # TensorRT's version
    #: what the session tells of itself: build seconds, bytes, CUDA graphs, device
    facts: dict[str, Any] = field(default_factory=dict)
    #: largest difference of a logit to the goldens, where that is within what they allow
    deviation: float | None = None
    allowed: float | None = None  # what the goldens allow
    layers: int | None = None  # layers of the engine, as it tells them
    matmuls: int | None = None  # those of them that multiply matrices and name their data types
    int8: int | None = None  # those of these that multiply int8
    planned: int | None = None  # those that the graph asks for in int8, in all listed profiles
    engine_only: Latency | None = None  # time on the device alone, one text per call
    call: Latency | None = None  # from token ids to logits: padding and copies included, tokenization not
    gate: str | None = None  # the gate's verdict on this engine; None where it was not asked
    warning: str | None = None  # what to know about it although it runs
    error: str | None = None  # why it is not eligible

    @property
    def eligible(self) -> bool:
        """True when it may be kept: it runs, answers right and did not fail the gate."""
        return self.error is None

    def refuse(self, why: str) -> BuiltEngine:
        """Return it with a reason why it is not eligible; the first reason stays."""
        return self if self.error else replace(self, error=why)


@dataclass(frozen=True)
class BuildComparison:
    """All engines of a bundle on this device."""

    bundle: str  # the bundle's folder
    candidates: tuple[BuiltEngine, ...]  # every engine that was to be built
    kept: str | None  # the one that is first from now on; None when none is eligible
    why: str  # the reason, in one sentence
    remembered: bool  # False where the choice could not be written to the cache, or not all were compared
    gate: str | None = None  # the gate's verdict over all engines; None where it was not asked
    left_out: tuple[str, ...] = ()  # engines of the bundle that are built on a device and were not asked for

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def choose(candidates: Sequence[BuiltEngine]) -> tuple[str | None, str]:
    """Name the fastest engine of those that are eligible, None when there is none, and say why."""
    running = [each for each in candidates if each.eligible and each.call is not None]
    if not running:
        reasons = "; ".join(f"{each.engine}: {each.error or 'not timed'}" for each in candidates)
        return None, f"no engine can be kept ({reasons})"
    best = min(running, key=lambda each: _p50(each.call))
    others = [each for each in running if each is not best]
    if others:
        compared = ", ".join(f"{each.engine} {_p50(each.call):.2f} ms" for each in others)
        why = f"{best.precision} is faster here: {_p50(best.call):.2f} ms per call, {compared}"
        return best.engine, _warned(best, why)
    refused = [each for each in candidates if not each.eligible]
    if refused:
        reasons = "; ".join(f"{each.engine}: {each.error}" for each in refused)
        return best.engine, _warned(best, f"the only one that passes ({reasons})")
    return best.engine, _warned(best, "the only one that was built")


def _warned(best: BuiltEngine, why: str) -> str:
    return f"{why}; but {best.warning}" if best.warning else why


def _p50(latency: Latency | None) -> float:
    return float("inf") if latency is None else latency.p50_ms


def without_fallbacks(facts: Manifest, candidates: Sequence[BuiltEngine]) -> list[BuiltEngine]:
    """Refuse int8 engines that fell back to float; warn where that cannot be known."""
    sizes = {each.precision: _sizes(facts, each) for each in candidates if each.facts}
    return [
        _weighed(each, sizes) if each.precision == "int8" and each.layers is not None else each
        for each in candidates
    ]


def _weighed(candidate: BuiltEngine, sizes: dict[str, tuple[int, int]]) -> BuiltEngine:
    seen = Inspection(candidate.layers or 0, candidate.matmuls or 0, candidate.int8 or 0)
    if seen.computes_int8:
        return _counted(candidate)
    if seen.computes_int8 is False:
        return candidate.refuse(
            f"it fell back to float: none of its {seen.matmuls} matmul layers computes in int8"
        )
    if "fp16" not in sizes:
        return replace(candidate, warning="its layers do not tell whether it computes in int8")
    (int8_plan, int8_graph), (fp16_plan, fp16_graph) = sizes["int8"], sizes["fp16"]
    if fell_back_by_size(int8_plan, fp16_plan, int8_graph, fp16_graph):
        return candidate.refuse(
            f"it fell back to float, by its size: {int8_plan} bytes where the fp16 engine has {fp16_plan}"
        )
    return replace(candidate, warning="int8 by its size; its layers do not tell")


def _counted(candidate: BuiltEngine) -> BuiltEngine:
    """Warn of an engine that computes less in int8 than its graph asks for."""
    if candidate.planned is None or (candidate.int8 or 0) >= candidate.planned:
        return candidate
    return replace(
        candidate,
        warning=f"it fell back to float in part: {candidate.int8} of {candidate.planned} matmuls and "
        "attentions compute in int8, by its layers",
    )


def _sizes(facts: Manifest, candidate: BuiltEngine) -> tuple[int, int]:
    """Return the bytes of the engine, and of the graph with the weights in the file beside it."""
    files = ENGINES[candidate.engine].files
    names = [*files, *(f"{name}_data" for name in files)]
    graph = sum(facts.files[name].bytes for name in names if name in facts.files)
    return int(candidate.facts["engine_bytes"]), graph
