"""Samples a device: power, temperatures, clocks and signs of throttling, in memory that does not grow."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from edgeroberta.hardware import clocks, energy, jetson, sysfs, thermal, throttling

#: CPU clocks sampled, spread over the policies: a server has one per processor.
MOST_POLICIES = 4
MOST_ZONES = 12
MOST_COOLING = 16
#: A counter moves about once in a millisecond: over less than this, power from it means nothing.
LEAST_POWER_S = 0.02


@dataclass
class SampleTotals:
    """What the samples have shown so far; its size does not grow with the run."""

    samples: int = 0  # how many there were
    joules: float = 0.0  # energy between the first and the last sample with power
    powered: float = 0.0  # seconds between those
    last: tuple[float, float] | None = None  # time and power of the last sample of rails
    counts: tuple[float, tuple[int, ...]] | None = None  # time and counts of the last sample of counters
    peak_w: float | None = None  # highest power
    peak_celsius: float | None = None  # highest temperature
    lowest: dict[str, int] = field(default_factory=dict)  # lowest clock in Hz, by its name
    reasons: dict[str, None] = field(default_factory=dict)  # signs of throttling, in the order they came
    broken: str = ""  # why the energy cannot be told; empty while it can


class Sampler:
    """Takes one sample after another."""

    def __init__(self, root: Path) -> None:
        self.seen = SampleTotals()
        self.source = energy.source(root, raspberry_pi=jetson.board(root).raspberry_pi)
        self._zones = [folder / "temp" for folder in thermal.zone_folders(root)[:MOST_ZONES]]
        self._cooling = dict(list(thermal.slowing_devices(root).items())[:MOST_COOLING])
        self._clocks = _clock_files(root)
        self._pi_flags = throttling.pi_flags_file(root)

    def sample(self) -> None:
        """Take a sample."""
        seen = self.seen
        seen.samples += 1
        self._sample_power(seen, time.perf_counter())
        for path in self._zones:
            celsius = thermal.celsius(path)
            if celsius is not None and (seen.peak_celsius is None or celsius > seen.peak_celsius):
                seen.peak_celsius = celsius
        for name, path in self._clocks.items():
            hertz = (sysfs.integer(path) or 0) * (1 if name == "gpu" else 1000)
            if hertz > 0:  # a GPU without work is powered down and reads 0
                seen.lowest[name] = min(hertz, seen.lowest.get(name, hertz))
        for name, path in self._cooling.items():
            if (sysfs.integer(path) or 0) > 0:
                seen.reasons[name] = None
        flags = sysfs.whole(sysfs.text(self._pi_flags), 16) if self._pi_flags else None
        seen.reasons.update(dict.fromkeys(throttling.pi_causes(flags)))

    def _sample_power(self, seen: SampleTotals, now: float) -> None:
        if self.source.kind == "ina3221":
            watts = self.source.watts()
            # The voltage and the current take a while on the bus: the middle of it is when they were.
            now = (now + time.perf_counter()) / 2
            if watts is None:
                seen.broken = "a power rail stopped answering"
                return
            if seen.last is not None:
                spent = now - seen.last[0]
                seen.joules += spent * (watts + seen.last[1]) / 2
                seen.powered += spent
            seen.last = (now, watts)
            seen.peak_w = watts if seen.peak_w is None else max(seen.peak_w, watts)
        elif self.source.kind == "powercap":
            self._sample_counters(seen, now)

    def _sample_counters(self, seen: SampleTotals, now: float) -> None:
        counts = self.source.counts()
        if counts is None:
            seen.broken = "an energy counter stopped answering"
            return
        if seen.counts is not None:
            then, before = seen.counts
            parts = [
                counter.joules_between(*pair)
                for counter, pair in zip(self.source.counters, zip(before, counts, strict=True), strict=True)
            ]
            spent = now - then
            if None in parts:
                seen.broken = "an energy counter went back"
            elif spent > 0:
                joules = sum(part for part in parts if part is not None)
                seen.joules += joules
                seen.powered += spent
                if spent >= LEAST_POWER_S:
                    seen.peak_w = max(seen.peak_w or 0.0, joules / spent)
        seen.counts = (now, counts)


def _clock_files(root: Path) -> dict[str, Path]:
    """Return the files of current clocks by the names of :func:`clocks.clocks`."""
    folders = clocks.policies(root)
    step = max(1, -(-len(folders) // MOST_POLICIES))
    found = {}
    for folder in folders[::step]:
        named = folder.name if folder.name.startswith("policy") else folder.parent.name
        found[f"cpu{named.removeprefix('policy').removeprefix('cpu')[:4]}"] = folder / "scaling_cur_freq"
    for node in clocks.gpu_nodes(root)[:1]:
        found["gpu"] = node / "cur_freq"
    return found
