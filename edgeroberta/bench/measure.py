"""The clock: single calls timed, summed up as percentiles, and the peak memory of this process."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

Input = TypeVar("Input")


@dataclass(frozen=True)
class Latency:
    """How long calls took, with the facts that make the numbers comparable.

    Attributes:
        p50_ms: Median of all calls of all rounds, in milliseconds.
        p90_ms: 90th percentile of the same calls (linear between the two nearest).
        p99_ms: 99th percentile of the same calls.
        texts_per_second: Texts answered divided by the time the calls took.
        calls: Calls in the percentiles.
        rounds: Turns the calls were spread over.
        warmup: Calls made before, in each process, and left out.
        batch: Texts per call.
        length: Tokens per text where all have the same; None for a mix of lengths.
        tokenized: True when calls began with texts; False when they began with random ids.
        threads: Threads the engine was given.
        round_p50_ms: Median of each round. Rows that took turns are compared round by round.
    """

    p50_ms: float
    p90_ms: float
    p99_ms: float
    texts_per_second: float
    calls: int
    rounds: int
    warmup: int
    batch: int
    length: int | None
    tokenized: bool
    threads: int
    round_p50_ms: tuple[float, ...]


@dataclass(frozen=True)
class Shape:
    """What a call is given: see the attributes of the same names in :class:`Latency`."""

    warmup: int
    batch: int = 1
    length: int | None = None
    tokenized: bool = True
    threads: int = 1


def summarise(rounds: Sequence[Sequence[float]], shape: Shape) -> Latency:
    """Pool the calls of all rounds.

    Args:
        rounds: Seconds of each call, one sequence per round; empty rounds are left out.
        shape: What the calls were given.

    Returns:
        Percentiles over all calls, and the median of each round.
    """
    kept = [np.asarray(calls, dtype=np.float64) * 1000 for calls in rounds if len(calls)]
    pooled = np.concatenate(kept)
    p50, p90, p99 = np.percentile(pooled, [50, 90, 99])
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
    )


#: Calls that are made however long they take, so that a slow model still has a median.
LEAST_CALLS = 5


def time_calls(
    call: Callable[[Input], object], inputs: Iterable[Input], *, limit_s: float = math.inf
) -> list[float]:
    """Call once per input.

    Args:
        call: What is timed.
        inputs: Its inputs.
        limit_s: Stop early after this many seconds, though not before :data:`LEAST_CALLS` calls.

    Returns:
        Seconds of each call that was made.
    """
    seconds: list[float] = []
    clock = time.perf_counter
    stop = clock() + limit_s
    for value in inputs:
        if len(seconds) >= LEAST_CALLS and clock() >= stop:
            break
        start = clock()
        call(value)
        seconds.append(clock() - start)
    return seconds


def speed_up(baseline: Latency, other: Latency) -> float:
    """Tell how many times faster ``other`` is than ``baseline``.

    When both took turns in the same rounds, this is the median over rounds of the ratio of their
    medians: a machine that slows down for a while slows both sides of a round. Otherwise it is the ratio
    of the pooled medians.

    Args:
        baseline: The slower side, usually.
        other: The side that is rated.

    Returns:
        The factor; above 1 when ``other`` is faster.
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

    Args:
        lengths: Length of each row, in any unit.
        count: How many to choose; all of them when there are not more.

    Returns:
        Ascending row numbers: every ``len / count``-th row of the rows in the order of their lengths.
    """
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    if count >= len(order):
        return sorted(order)
    return sorted(order[int((index + 0.5) * len(order) / count)] for index in range(count))
