"""Watches a device during a run: energy, power, temperature, clocks, and whether it throttled.

with DeviceMonitor() as watch:
    run()
print(watch.watched.energy_j, watch.watched.valid)
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeroberta.hardware import clocks, jetson, throttling
from edgeroberta.hardware.sampler import Sampler

#: Ten samples a second: the INA3221 averages over tens of milliseconds, and heat moves slower.
INTERVAL_S = 0.1
#: Most of one core's time that sampling may take; where a sample costs more, they are taken less often.
MOST_SHARE = 0.005
#: A locked clock that reads this much below its lock was slowed down; readings jitter by a few percent.
#: (tegra194-cpufreq itself calls 115 MHz off a request still that request.)
SLOWED = 0.9


@dataclass(frozen=True)
class DeviceTelemetry:
    """What a device did during a run."""

    seconds: float  # how long it was watched
    samples: int  # samples taken
    energy_j: float | None  # energy, what else ran included; None when power is not measured
    energy_source: str | None  # ``ina3221`` (samples, trapezoid rule) or ``powercap`` (a counter)
    energy_scope: str  # what the energy covers: ``module``, ``processor``
    mean_w: float | None  # mean power
    peak_w: float | None  # highest power between or at samples
    idle_w: float | None  # power without the run, where it was measured before
    peak_celsius: float | None  # highest temperature of any zone
    lowest_cpu_hz: int | None  # lowest CPU clock seen
    lowest_gpu_hz: int | None  # lowest GPU clock seen; None without one
    throttled: bool | None  # True when the device was slowed down; None when nothing here would say
    reasons: tuple[str, ...]  # what says that it throttled
    sampler_share: float  # processor time of the sampling thread as a share of one core
    notes: tuple[str, ...]  # why a figure is missing

    @property
    def valid(self) -> bool:
        """False when the run's times are those of a throttled device; unknown is not held against it."""
        return self.throttled is not True

    @property
    def energy_above_idle_j(self) -> float | None:
        """The energy that the run added to an idle device, None without an idle power."""
        if self.energy_j is None or self.idle_w is None:
            return None
        return self.energy_j - self.idle_w * self.seconds

    def for_json(self) -> dict[str, Any]:
        """Return it as a JSON object, ``valid`` included."""
        return {**asdict(self), "valid": self.valid}


def energy_per_text(watched: DeviceTelemetry, texts: int) -> float | None:
    """Return the energy of one text in joules, None when it was not measured or there was no text."""
    return watched.energy_j / texts if watched.energy_j is not None and texts > 0 else None


class DeviceMonitor:
    """Samples a device in a thread of its own, from ``with`` until its end, every ``interval_s`` at most."""

    def __init__(
        self, root: Path = Path("/"), interval_s: float = INTERVAL_S, idle_w: float | None = None
    ) -> None:
        self._root, self._interval_s, self._idle_w = root, interval_s, idle_w
        self._stop = threading.Event()
        self._cost_s = 0.0
        self._watched: DeviceTelemetry | None = None

    @property
    def watched(self) -> DeviceTelemetry:
        """What was seen. Raises RuntimeError: the watch has not ended."""
        if self._watched is None:
            raise RuntimeError("a watch has a result when its `with` block has ended")
        return self._watched

    def __enter__(self) -> DeviceMonitor:
        """Look at the device and begin to sample."""
        root = self._root
        self._sampler = Sampler(root)
        # PCs have no device tree, and an idle core of theirs may read below its lock.
        board = jetson.board(root)
        self._floors = {each.name: each for each in clocks.clocks(root) if each.locked and board.soc}
        self._before = throttling.throttling(root)
        self._started = time.perf_counter()
        self._sampler.sample()
        self._thread = threading.Thread(target=self._run, name="device-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the last sample and put the result together, also after an error."""
        self._stop.set()
        self._thread.join()
        self._sampler.sample()
        self._watched = self._result(time.perf_counter() - self._started)

    def _run(self) -> None:
        wait = self._interval_s
        while not self._stop.wait(wait):
            began = time.thread_time()
            self._sampler.sample()
            cost = time.thread_time() - began
            self._cost_s += cost
            wait = max(self._interval_s, cost / MOST_SHARE)

    def _result(self, seconds: float) -> DeviceTelemetry:
        seen, source = self._sampler.seen, self._sampler.source
        after = throttling.throttling(self._root)
        during = [*self._before.causes, *seen.reasons, *after.causes]
        reasons = [*during, *after.events_since(self._before), *self._fallen()]
        tells = self._before.now is not None or self._before.since_boot is not None
        measured = seen.powered > 0 and not seen.broken
        energy_j = seen.joules if measured else None
        cpu = [hertz for name, hertz in seen.lowest.items() if name != "gpu"]
        notes = [source.reason, seen.broken, "" if tells else "nothing here would tell of throttling"]
        return DeviceTelemetry(
            seconds=seconds,
            samples=seen.samples,
            energy_j=energy_j,
            energy_source=source.kind,
            energy_scope=source.scope,
            mean_w=None if energy_j is None else energy_j / seen.powered,
            peak_w=seen.peak_w if measured else None,
            idle_w=self._idle_w,
            peak_celsius=seen.peak_celsius,
            lowest_cpu_hz=min(cpu, default=None),
            lowest_gpu_hz=seen.lowest.get("gpu"),
            throttled=True if reasons else (False if tells else None),
            reasons=tuple(dict.fromkeys(reasons)),
            sampler_share=self._cost_s / seconds if seconds > 0 else 0.0,
            notes=tuple(note for note in notes if note),
        )

    def _fallen(self) -> list[str]:
        """Clocks that fell below their lock: something stronger than the lock slowed the device down."""
        fallen = []
        for name, clock in self._floors.items():
            lowest, lock = self._sampler.seen.lowest.get(name), clock.minimum_hz
            if lowest is not None and lock and lowest < SLOWED * lock:
                fallen.append(
                    f"{name} fell to {lowest / 1e6:,.0f} MHz from its lock of {lock / 1e6:,.0f} MHz"
                )
        return fallen


def idle_power(root: Path = Path("/"), seconds: float = 3.0) -> float | None:
    """Measure the watts of the device while it has nothing to do; None when power is not measured."""
    with DeviceMonitor(root) as watch:
        time.sleep(seconds)
    return watch.watched.mean_w
