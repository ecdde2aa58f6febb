"""Times sessions in turns, on lengths as a bundle's texts have them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeroberta.measure.clock import CallShape, Latency, summarise
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.lengths import BIN


@dataclass(frozen=True)
class TimingPlan:
    """How much is measured."""

    rounds: int = 5  # turns each engine gets
    calls: int = 100  # calls in a turn, one text each
    warmup: int = 20  # calls before the first turn, not counted
    seed: int = 0  # seed of lengths and ids


@dataclass(frozen=True)
class Timing:
    """Both clocks: on the device around the engine, and on the CPU around the whole call."""

    engine_only: Latency
    call: Latency


def time_interleaved(
    runtimes: Mapping[str, Runtime], counts: Sequence[int], vocab: int, plan: TimingPlan = TimingPlan()
) -> dict[str, Timing]:
    """Time every engine on the same texts, round by round, so that noise falls on all of them.

    ``runtimes``: name to open runtime; its session has ``run_timed``. ``counts``: texts per 16-token bin of
    length, as the manifest has them. ``vocab``: number of token ids to draw from.
    """
    order = list(runtimes)
    inner: dict[str, list[list[float]]] = {name: [] for name in order}
    outer: dict[str, list[list[float]]] = {name: [] for name in order}
    pad = next(iter(runtimes.values())).pad_token_id
    texts = random_ids(counts, vocab, plan.warmup, plan.seed, pad=pad)
    for name in order:
        _turn(runtimes[name], texts)
    for repetition in range(plan.rounds):
        texts = random_ids(counts, vocab, plan.calls, plan.seed + 1 + repetition, pad=pad)
        shift = repetition % len(order)
        for name in (*order[shift:], *order[:shift]):
            engine, call = _turn(runtimes[name], texts)
            inner[name].append(engine)
            outer[name].append(call)
    shape = CallShape(warmup=plan.warmup, tokenized=False)
    return {name: Timing(summarise(inner[name], shape), summarise(outer[name], shape)) for name in order}


def random_ids(
    counts: Sequence[int], vocab: int, number: int, seed: int, *, pad: int = 1
) -> list[npt.NDArray[np.int64]]:
    """Draw random ids whose lengths are distributed as a histogram says.

    ``counts``: texts per bin: bin i holds 16 i + 1 … 16 (i + 1) tokens. All 0: as if all had 32 tokens.
    ``vocab``: number of token ids. ``pad``: id of the padding token, which is never drawn. Returns int64
    [tokens] each.
    """
    random = np.random.default_rng(seed)
    weights = np.asarray(counts if sum(counts) else (0, 1), np.float64)
    bins = random.choice(len(weights), size=number, p=weights / weights.sum())
    lengths = bins * BIN + random.integers(1, BIN + 1, size=number)
    drawn = [random.integers(3, vocab, size=int(length)) for length in lengths]
    return [np.where(ids == pad, pad - 1, ids) for ids in drawn]


def _turn(runtime: Runtime, texts: Sequence[npt.NDArray[np.int64]]) -> tuple[list[float], list[float]]:
    """Run texts one by one; returns the seconds of the engine alone and of the whole calls.

    The two are taken in calls of their own, since asking the device for the time takes time.
    """
    engine, call = [], []
    session, clock = runtime.session, time.perf_counter
    for ids in texts:
        ids = ids[: runtime.max_length]
        started = clock()
        runtime.run_ids([ids])
        call.append(clock() - started)
        padded = session.padded_length(len(ids))
        batch = np.pad(ids, (0, padded - len(ids)), constant_values=1)[None]
        mask = (np.arange(padded) < len(ids)).astype(np.int64)[None]
        engine.append(session.run_timed(batch, mask)[1])  # type: ignore[attr-defined]
    return engine, call
