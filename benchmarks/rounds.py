"""Contestants in their own processes, measured in interleaved rounds so that noise hits all alike."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.results import Latency, Row

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parent.parent
#: Calls after each change of contestant that are not timed: the others have emptied the CPU caches.
UNTIMED = 3
#: Items a contestant answers before the next one has its turn (a slice of a round).
SLICE = 100


@dataclass(frozen=True)
class Entry:
    """A contestant before it is opened.

    Attributes:
        name: Key in the results.
        title: What the table calls it.
        python: Interpreter of the environment it runs in.
        opener: ``module:function`` that opens it there.
        arguments: JSON arguments of the opener.
        group: Rows are compared within a group, e.g. one shape.
        error: Why it cannot be opened at all, where its environment or its model could not be made.
    """

    name: str
    title: str
    python: Path
    opener: str
    arguments: Mapping[str, Any]
    group: str = ""
    error: str | None = None


class WorkerError(Exception):
    """A contestant reported an error or died; becomes the error of its row."""


class Worker:
    """A contestant's process, single-threaded by environment, spoken to in JSON lines."""

    def __init__(self, entry: Entry, *, threads: int) -> None:
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        environment = dict(os.environ)
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[variable] = str(threads)
        environment.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
        self._process = subprocess.Popen(
            [str(entry.python), "-m", "benchmarks.worker"],
            cwd=ROOT, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        try:
            opened = self.ask({"open": entry.opener, "arguments": {**entry.arguments, "threads": threads}})
        except WorkerError:
            self.close()
            raise
        self.versions: dict[str, str] = opened["versions"]
        self.size_mb: float = opened["size_mb"]

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and wait for its reply.

        Raises:
            WorkerError: The contestant reported an error, or its process is gone.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerError("no pipe to the process")
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"died with exit code {self._process.wait()}: {self._last_words()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def close(self) -> None:
        """End the process by closing its input."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # what it was to read before it died
                    stream.close()
        self._process.wait(timeout=60)
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        return " | ".join(self._log.read().strip().splitlines()[-3:])


@dataclass
class Timings:
    """What one contestant did: milliseconds per round, the last round's answers, or its error."""

    rounds: list[list[float]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    size_mb: float = 0.0
    error: str | None = None


def measure(
    entries: Sequence[Entry], items: Sequence[Any], *, rounds: int, threads: int, slice_size: int = SLICE
) -> dict[str, Timings]:
    """Measure all entries on the same items: A B C A B C, slice by slice, round by round.

    Args:
        entries: The contestants; one that fails drops out, the others continue.
        items: JSON values that each contestant answers one at a time.
        rounds: Timed rounds; one more before them warms up and is thrown away.
        threads: Threads each contestant may use.
        slice_size: Items a contestant answers in a row before the next one's turn.

    Returns:
        Entry name to its timings.
    """
    timings = {entry.name: Timings() for entry in entries}
    workers: dict[str, Worker] = {}
    slices = [items[start : start + slice_size] for start in range(0, len(items), slice_size)]
    try:
        for entry in entries:
            if entry.error is not None:
                timings[entry.name].error = entry.error
                continue
            try:
                workers[entry.name] = worker = Worker(entry, threads=threads)
                timings[entry.name].versions, timings[entry.name].size_mb = worker.versions, worker.size_mb
            except (WorkerError, OSError) as error:
                timings[entry.name].error = str(error)
        for number in range(rounds + 1):
            logger.info("round %d of %d", number, rounds)
            for name in list(workers):
                timings[name].rounds.append([])
                timings[name].answers.clear()
            for part in slices:
                _run_slice(workers, part, timings)
    finally:
        for worker in workers.values():
            worker.close()
    for timing in timings.values():
        del timing.rounds[:1]  # the warm-up round
    return timings


def _run_slice(workers: dict[str, Worker], part: Sequence[Any], timings: Mapping[str, Timings]) -> None:
    """Let every contestant still standing answer one slice."""
    for name, worker in list(workers.items()):
        try:
            reply = worker.ask({"run": list(part), "untimed": UNTIMED})
        except WorkerError as error:
            timings[name].error = str(error)
            workers.pop(name).close()
            continue
        timings[name].rounds[-1].extend(reply["ms"])
        timings[name].answers.extend(reply["answers"])


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of ``values``."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def latency(rounds: Sequence[Sequence[float]]) -> Latency:
    """Summarise timed rounds, pooled, in milliseconds."""
    pooled = [value for values in rounds for value in values]
    p50, p90, p99 = (round(percentile(pooled, percent), 4) for percent in (50, 90, 99))
    return Latency(
        n=len(pooled),
        warm_up=len(rounds[0]),
        p50=p50,
        p90=p90,
        p99=p99,
        round_p50=tuple(round(median(values), 4) for values in rounds),
        mean=round(statistics.fmean(pooled), 4),
        round_mean=tuple(round(statistics.fmean(values), 4) for values in rounds),
    )


def median(values: Sequence[float]) -> float:
    """Return the nearest-rank median of ``values``."""
    return percentile(values, 50)


def speed_up(
    baseline: Sequence[Sequence[float]],
    other: Sequence[Sequence[float]],
    typical: Callable[[Sequence[float]], float] = median,
) -> float:
    """How many times faster ``other`` is, the median over rounds.

    ``typical``: what of a round is compared with that of the baseline's same round: its p50 or its mean.
    """
    pairs = zip(baseline, other, strict=True)
    return round(statistics.median(typical(b) / typical(o) for b, o in pairs), 3)


def rows(
    entries: Sequence[Entry],
    timings: Mapping[str, Timings],
    *,
    baseline: str,
    full_size: str | None = None,
    labels: Sequence[int] | None = None,
) -> list[Row]:
    """Turn timings into result rows.

    Args:
        entries: The contestants, in table order.
        timings: What :func:`measure` returned.
        baseline: Name of the entry the ratios refer to.
        full_size: Name of the entry whose answers the others' are compared with.
        labels: The right answer of each item, where there is one.

    Returns:
        One row per entry, failed ones included.
    """
    reference, truth = timings[baseline], timings[full_size] if full_size else None
    made = []
    for entry in entries:
        timing = timings[entry.name]
        fields: dict[str, Any] = {"name": entry.name, "title": entry.title, "group": entry.group}
        fields.update(versions=timing.versions)
        if timing.error is not None:
            made.append(Row(**fields, status="failed", error=timing.error))
            continue
        fields.update(latency=latency(timing.rounds), size_mb=timing.size_mb or None)
        if reference.error is None:
            fields["ratio"] = speed_up(reference.rounds, timing.rounds)
            fields["mean_ratio"] = speed_up(reference.rounds, timing.rounds, statistics.fmean)
        if labels is not None:
            fields["accuracy"] = share_equal(timing.answers, labels)
        if truth is not None and truth.error is None:
            fields["same_answers"] = share_equal(timing.answers, truth.answers)
        made.append(Row(**fields))
    return made


def share_equal(answers: Sequence[Any], others: Sequence[Any]) -> float:
    """Return the share of equal answers, 0..1, to four places."""
    equal = sum(one == other for one, other in zip(answers, others, strict=True))
    return round(equal / len(answers), 4)
