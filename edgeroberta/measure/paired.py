"""Two graphs on one engine in one process, on the same inputs in turns: what one is worth beside the other.

Calls of the two alternate, a few milliseconds apart, each input counts with its least call, and a single
thread is timed by the processor's clock, which stands still while others run. So the ratio holds on a machine
that is too busy for times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import Session, open_session

#: Turns over all inputs: at least, however long they take, and at most.
LEAST_REPETITIONS, MOST_REPETITIONS = 3, 8


@dataclass(frozen=True)
class PairedTimes:
    """What was timed, one number per input."""

    tokens: list[int]  # its length, as the engine runs it
    #: seconds of the least call of the graph that is measured, see the module's text for the clock
    own: list[float]
    other: list[float]  # the same of the graph beside it
    #: by how much the median call of ``own`` is slower than its least, as a part of that; the median over the
    #: inputs
    noise: float


def time_paired(
    own: Session, folder: Path, lengths: Sequence[int], *, threads: int, vocab_size: int, limit_s: float
) -> PairedTimes:
    """Open another graph on a session's engine and time both on random ids.

    ``lengths``: tokens of each input; padded as the session pads. ``limit_s``: no turn is begun after this
    many seconds, beyond :data:`LEAST_REPETITIONS`. Returns the least call of each graph per input. Raises
    EngineError: the engine refuses the other graph.
    """
    tokens = [own.padded_length(length) for length in lengths]
    prepared = Lengths(tuple(sorted(set(tokens))), ())
    other = open_session(own.name, folder, threads=threads, lengths=prepared)
    rng = np.random.default_rng(0)
    inputs = [rng.integers(5, vocab_size, (1, length), dtype=np.int64) for length in tokens]
    seconds = np.empty((MOST_REPETITIONS, 2, len(inputs)))
    clock = _clock(threads)
    stop = time.perf_counter() + limit_s
    repetitions = 0
    try:
        while repetitions < MOST_REPETITIONS and (
            repetitions < LEAST_REPETITIONS or time.perf_counter() < stop
        ):
            for number, ids in enumerate(inputs):
                for which, session in enumerate((own, other)):
                    started = clock()
                    session.run(ids, np.ones_like(ids))
                    seconds[repetitions, which, number] = clock() - started
            repetitions += 1
    finally:
        other.close()
    least = seconds[:repetitions].min(axis=0)
    noise = np.median(np.median(seconds[:repetitions, 0], axis=0) / least[0]) - 1
    return PairedTimes(tokens, least[0].tolist(), least[1].tolist(), float(noise))


def _clock(threads: int) -> Callable[[], float]:
    """Choose the clock: threads that wait for each other use the processor, too, and Windows' is coarse."""
    fine = time.get_clock_info("process_time").resolution < 1e-5
    return time.process_time if threads == 1 and fine else time.perf_counter
