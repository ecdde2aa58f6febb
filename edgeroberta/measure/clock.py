"""The clock: single calls timed, summed up as mean and percentiles, and the peak memory of this process."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgeroberta.measure.intervals import Floats, intervals
from edgeroberta.measure.stopwatch import Stopwatch

Input = TypeVar("Input")


@dataclass(frozen=True)
class TimedCalls:
    """Calls that were timed, in their order."""

    seconds: list[float]  # what each took from end to end
    #: of that, the seconds in the tokenizer; empty where the model does not tell them apart
    tokenize: list[float] = field(default_factory=list)
    #: of that, the seconds in the engine, copies to a GPU and back included; empty likewise
    engine: list[float] = field(default_factory=list)
    #: seconds by the device's own clock, copies left out; empty where there is no such clock or it was not
    #: asked
    device: list[float] = field(default_factory=list)
    #: number of the tier of a cascade that answered, the last of them where a call had several texts; empty
    #: where there are no tiers
    tiers: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Breakdown:
    """Where the time of a call goes: medians of all calls, in milliseconds per text."""

    tokenize_ms: float  # text to ids
    engine_ms: float  # ids to logits, as the caller waits for it
    rest_ms: float  # what is left: padding, labels and scores, Python
    device_ms: float | None = None  # the engine by the device's own clock, without copies, if any


@dataclass(frozen=True)
class Latency:
    """How long calls took, with the facts that make the numbers comparable."""

    p50_ms: float  # median of all calls of all rounds, in milliseconds
    p90_ms: float  # 90th percentile of the same calls (linear between the two nearest)
    p99_ms: float  # 99th percentile of the same calls
    texts_per_second: float  # texts answered divided by the time the calls took
    calls: int  # calls in the percentiles
    rounds: int  # turns the calls were spread over
    warmup: int  # calls made before and left out; as many as it took, see ``warmup``
    batch: int  # texts per call
    length: int | None  # tokens per text where all have the same; None for a mix of lengths
    tokenized: bool  # True when calls began with texts; False when they began with random ids
    threads: int  # threads the engine was given
    round_p50_ms: tuple[float, ...]  # median of each round. Rows that took turns are compared round by round.
    mean_ms: float = math.nan  # mean of the same calls; taken from their rate where it is not given
    #: mean of each round; empty in what versions up to 0.7 stored
    round_mean_ms: tuple[float, ...] = ()
    steady: bool = True  # False when the times still moved at the end of the warm-up
    #: 95 % interval of ``mean_ms``, see ``intervals``; None for too few calls
    mean_interval_ms: tuple[float, float] | None = None
    p50_interval_ms: tuple[float, float] | None = None  # the same for ``p50_ms``
    p90_interval_ms: tuple[float, float] | None = None  # the same for ``p90_ms``
    p99_interval_ms: tuple[float, float] | None = None  # the same for ``p99_ms``
    breakdown: Breakdown | None = None  # where the time goes; None where the model does not tell
    #: what 0, 1, … 100 % of the same calls took at most, in four digits; empty in what versions up to 0.9
    #: stored
    quantiles_ms: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Take the mean from the rate in what versions up to 0.7 stored, which are of the same calls."""
        if math.isnan(self.mean_ms):
            object.__setattr__(self, "mean_ms", 1000 * self.batch / self.texts_per_second)

    @property
    def spread(self) -> float | None:
        """How far the rounds' medians lie apart, as a part of their median; None for a single round."""
        if len(self.round_p50_ms) < 2:
            return None
        return float(np.ptp(self.round_p50_ms) / np.median(self.round_p50_ms))

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Latency:
        """Read back what ``dataclasses.asdict`` made and JSON stored, of this version or an older one."""
        typed: dict[str, Any] = {
            name: tuple(value) for name, value in fields.items() if isinstance(value, list)
        }
        if fields.get("breakdown") is not None:
            typed["breakdown"] = Breakdown(**fields["breakdown"])
        return cls(**{**fields, **typed})


@dataclass(frozen=True)
class CallShape:
    """What a call is given: see the attributes of the same names in :class:`Latency`."""

    warmup: int
    batch: int = 1
    length: int | None = None
    tokenized: bool = True
    threads: int = 1
    steady: bool = True


def summarise(rounds: Sequence[Sequence[float]], shape: CallShape) -> Latency:
    """Pool the seconds of the calls of all rounds; empty rounds are left out."""
    kept = [np.asarray(calls, dtype=np.float64) * 1000 for calls in rounds if len(calls)]
    pooled = np.concatenate(kept)
    mean, p50, p90, p99 = _figures(pooled[np.newaxis])[:, 0]
    found = intervals(kept, _figures) or (None, None, None, None)
    return Latency(
        mean_ms=float(mean),
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
        texts_per_second=float(len(pooled) * shape.batch / (pooled.sum() / 1000)),
        calls=len(pooled),
        rounds=len(kept),
        warmup=shape.warmup,
        batch=shape.batch,
        length=shape.length,
        tokenized=shape.tokenized,
        threads=shape.threads,
        round_p50_ms=tuple(float(np.median(calls)) for calls in kept),
        round_mean_ms=tuple(float(np.mean(calls)) for calls in kept),
        steady=shape.steady,
        mean_interval_ms=found[0],
        p50_interval_ms=found[1],
        p90_interval_ms=found[2],
        p99_interval_ms=found[3],
        quantiles_ms=tuple(float(f"{each:.4g}") for each in np.percentile(pooled, range(101))),
    )


def _figures(calls: Floats) -> Floats:
    """Return mean and percentiles, float64 ``[4, draws]``, of calls ``[draws, calls]``."""
    return np.concatenate([calls.mean(axis=1)[np.newaxis], np.percentile(calls, PERCENTILES, axis=1)])


def break_down(rounds: Sequence[TimedCalls], device: Sequence[TimedCalls], batch: int) -> Breakdown | None:
    """Say where the time of calls goes, medians per text; None when the model does not tell."""
    engine = np.concatenate([np.asarray(calls.engine) for calls in rounds] or [np.empty(0)])
    if not len(engine):
        return None
    seconds = np.concatenate([calls.seconds for calls in rounds])
    tokenize = np.concatenate([calls.tokenize for calls in rounds])
    own = np.concatenate([np.asarray(calls.device) for calls in device] or [np.empty(0)])
    scale = 1000 / batch
    return Breakdown(
        tokenize_ms=float(np.median(tokenize) * scale),
        engine_ms=float(np.median(engine) * scale),
        rest_ms=float(np.median(seconds - tokenize - engine) * scale),
        device_ms=float(np.median(own) * scale) if len(own) else None,
    )


#: The percentiles that are told; the second is what MLPerf Inference rates a single stream by.
PERCENTILES = (50, 90, 99)
#: Calls that are made however long they take, so that a slow model still has a median.
LEAST_CALLS = 5


def time_calls(
    call: Callable[[Input], object],
    inputs: Iterable[Input],
    *,
    limit_s: float = math.inf,
    watch: Stopwatch | None = None,
    tier_of: Callable[[Any], int] | None = None,
) -> TimedCalls:
    """Call once per input.

    ``limit_s``: stop early after this many seconds, though not before :data:`LEAST_CALLS` calls. ``watch``:
    where the model keeps the time of its parts; None when it does not. ``tier_of``: tells of what a call
    returned which tier of a cascade gave it; None where there are none.
    """
    found = TimedCalls([])
    clock = time.perf_counter
    stop = clock() + limit_s
    for value in inputs:
        if len(found.seconds) >= LEAST_CALLS and clock() >= stop:
            break
        if watch is not None:
            watch.reset()
        start = clock()
        answer = call(value)
        found.seconds.append(clock() - start)
        if tier_of is not None:
            found.tiers.append(tier_of(answer))
        if watch is not None:
            found.tokenize.append(watch.tokenize)
            found.engine.append(watch.engine)
            if watch.device is not None:
                found.device.append(watch.device)
    return found


def speed_up(baseline: Latency, other: Latency, *, figure: str = "p50") -> float:
    """Tell how many times faster ``other`` is than ``baseline``.

    ``figure``: what is compared, ``p50`` or ``mean``. When both took turns in the same rounds, this is the
    median over rounds of the ratio of their figures: a machine that slows down for a while slows both sides
    of a round. Otherwise it is the ratio of the pooled figures. Returns the factor; above 1 when ``other`` is
    faster.
    """
    sides = [getattr(latency, f"round_{figure}_ms") for latency in (baseline, other)]
    if len(sides[0]) == len(sides[1]) > 1:
        return float(np.median(np.asarray(sides[0]) / np.asarray(sides[1])))
    pooled = [getattr(latency, f"{figure}_ms") for latency in (baseline, other)]
    return float(pooled[0] / pooled[1])


def peak_memory() -> int:
    """Return the largest resident memory this process has had so far, in bytes.

    On Linux this is ``VmHWM`` of ``/proc/self/status``, since ``ru_maxrss`` is inherited through
    ``exec`` from a large parent; elsewhere it is ``ru_maxrss``.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def spread(lengths: Sequence[int], count: int) -> list[int]:
    """Choose rows whose lengths are distributed as those of all rows.

    ``count``: how many to choose; all of them when there are not more. Returns ascending row numbers: every
    ``len / count``-th row of the rows in the order of their lengths.
    """
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    if count >= len(order):
        return sorted(order)
    return sorted(order[int((index + 0.5) * len(order) / count)] for index in range(count))
