"""The clock: single calls timed, summed up as percentiles, and the peak memory of this process."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

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
    steady: bool = True  # False when the times still moved at the end of the warm-up
    #: 95 % interval of ``p50_ms``, see ``intervals``; None for too few calls
    p50_interval_ms: tuple[float, float] | None = None
    p90_interval_ms: tuple[float, float] | None = None  # the same for ``p90_ms``
    p99_interval_ms: tuple[float, float] | None = None  # the same for ``p99_ms``
    breakdown: Breakdown | None = None  # where the time goes; None where the model does not tell

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
    p50, p90, p99 = np.percentile(pooled, PERCENTILES)
    found = percentile_intervals(kept, PERCENTILES)
    return Latency(
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
        steady=shape.steady,
        p50_interval_ms=found[0] if found else None,
        p90_interval_ms=found[1] if found else None,
        p99_interval_ms=found[2] if found else None,
    )


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
) -> TimedCalls:
    """Call once per input.

    ``limit_s``: stop early after this many seconds, though not before :data:`LEAST_CALLS` calls. ``watch``:
    where the model keeps the time of its parts; None when it does not.
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
        call(value)
        found.seconds.append(clock() - start)
        if watch is not None:
            found.tokenize.append(watch.tokenize)
            found.engine.append(watch.engine)
            if watch.device is not None:
                found.device.append(watch.device)
    return found


def speed_up(baseline: Latency, other: Latency) -> float:
    """Tell how many times faster ``other`` is than ``baseline``.

    When both took turns in the same rounds, this is the median over rounds of the ratio of their medians: a
    machine that slows down for a while slows both sides of a round. Otherwise it is the ratio of the pooled
    medians. Returns the factor; above 1 when ``other`` is faster.
    """
    if len(baseline.round_p50_ms) == len(other.round_p50_ms) > 1:
        ratios = np.asarray(baseline.round_p50_ms) / np.asarray(other.round_p50_ms)
        return float(np.median(ratios))
    return baseline.p50_ms / other.p50_ms


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


#: Calls in a block. A round of 100 calls gives ten of them.
BLOCK = 10
#: Draws; the ends of a 95 % interval then rest on 25 draws each.
DRAWS = 1000
#: Fewer blocks say little of how much they differ.
LEAST_BLOCKS = 4
#: Drawn calls held at a time, 64 MB.
_AT_ONCE = 8_000_000


def percentile_intervals(
    rounds: Sequence[npt.NDArray[np.float64]], percentiles: Sequence[float]
) -> tuple[tuple[float, float], ...] | None:
    """Find the 95 % interval of each percentile of all calls; None for fewer than four blocks of calls."""
    cut = [calls[: len(calls) // BLOCK * BLOCK].reshape(-1, BLOCK) for calls in rounds if len(calls) >= BLOCK]
    counts = np.array([len(blocks) for blocks in cut])
    if counts.sum() < LEAST_BLOCKS:
        return None
    table = np.concatenate(cut)
    first = np.cumsum(counts) - counts
    # Of each round as many blocks as a round has on average; a round that was cut short comes less often.
    shape = (len(cut), max(1, len(table) // len(cut)))
    rng = np.random.default_rng(0)
    found = []
    step = max(1, _AT_ONCE // table.size)
    for start in range(0, DRAWS, step):
        draws = min(step, DRAWS - start)
        picked = rng.choice(len(cut), size=(draws, shape[0], 1), p=counts / counts.sum())
        chosen = first[picked] + rng.integers(counts[picked], size=(draws, *shape))
        found.append(np.percentile(table[chosen].reshape(draws, -1), percentiles, axis=1))
    low, high = np.percentile(np.concatenate(found, axis=1), [2.5, 97.5], axis=1)
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
