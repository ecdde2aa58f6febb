"""Counters and histograms, and the text that Prometheus reads (exposition format 0.0.4).

Only the thread that carries the connections counts, so nothing here needs a lock.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds in seconds: from a small model on a server to a long text on a small board.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """Counts of durations by upper bound, in constant memory."""

    def __init__(self, bounds: tuple[float, ...] = BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def samples(self, name: str) -> list[str]:
        """Return its lines: cumulative counts, their sum, their number."""
        total, lines = 0, []
        for bound, count in zip((*self.bounds, None), self.counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{"+Inf" if bound is None else bound}"}} {total}')
        return [*lines, f"{name}_sum {self.sum!r}", f"{name}_count {total}"]


class Metrics:
    """What a server counts.

    Attributes:
        answers: (path, status) to answers sent.
        rejected: Reason to requests turned away before a worker saw them.
        texts: Texts answered.
        truncated: Of these, the ones longer than the model takes.
        abandoned: Requests whose client was told 504 or had gone.
        request: Seconds from a whole request to its answer, for those answered with 200.
        engine: Seconds in the engine, tokenization left out.
    """

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._facts = facts
        self._started = time.time()
        self.answers: Counter[tuple[str, int]] = Counter()
        self.rejected: Counter[str] = Counter({"queue": 0, "connections": 0})
        self.texts = 0
        self.truncated = 0
        self.abandoned = 0
        self.request = Histogram()
        self.engine = Histogram()

    def render(self, gauges: Mapping[str, tuple[str, float]]) -> bytes:
        """Write everything in Prometheus' text format.

        Args:
            gauges: Name to what it means and its value now.
        """
        facts = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(self._facts.items()))
        lines = _block("edgeroberta_build_info", "gauge", "What is served, and by what.", [f"{{{facts}}} 1"])
        counters: tuple[tuple[str, str, list[str]], ...] = (
            (
                "requests",
                "Answers sent, by path and status.",
                [
                    f'{{path="{path}",code="{status}"}} {count}'
                    for (path, status), count in sorted(self.answers.items())
                ],
            ),
            (
                "rejected",
                "Requests and connections turned away unanswered, by reason.",
                [f'{{reason="{reason}"}} {count}' for reason, count in sorted(self.rejected.items())],
            ),
            ("texts", "Texts answered.", [f" {self.texts}"]),
            ("truncated", "Texts longer than the model takes, of those answered.", [f" {self.truncated}"]),
            ("abandoned", "Requests timed out, or whose client had gone.", [f" {self.abandoned}"]),
        )
        for name, meaning, samples in counters:
            lines += _block(f"edgeroberta_{name}_total", "counter", meaning, samples)
        for name, histogram, meaning in (
            ("request", self.request, "Seconds from a whole request to its answer, where that is 200."),
            ("engine", self.engine, "Seconds in the engine per request, tokenization left out."),
        ):
            full = f"edgeroberta_{name}_seconds"
            lines += [*_heading(full, "histogram", meaning), *histogram.samples(full)]
        for name, (meaning, value) in gauges.items():
            lines += _block(f"edgeroberta_{name}", "gauge", meaning, [f" {value:g}"])
        return ("\n".join([*lines, *self._process()]) + "\n").encode("utf-8")

    def _process(self) -> list[str]:
        """Return the facts of the process under the names that Prometheus' own clients use."""
        times = os.times()
        cpu = times.user + times.system
        lines = _block(
            "process_cpu_seconds_total", "counter", "Processor time, user and system.", [f" {cpu!r}"]
        )
        lines += _block(
            "process_start_time_seconds", "gauge", "Start, in Unix time.", [f" {self._started!r}"]
        )
        if (resident := resident_bytes()) is not None:
            lines += _block("process_resident_memory_bytes", "gauge", "Resident memory.", [f" {resident}"])
        return lines


def resident_bytes() -> int | None:
    """Return the resident memory of this process; None where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _heading(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]


def _block(name: str, kind: str, meaning: str, samples: Iterable[str]) -> list[str]:
    return [*_heading(name, kind, meaning), *(name + sample for sample in samples)]


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
