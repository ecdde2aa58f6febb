"""Looks at the machine around a run, as far as it tells about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeroberta import hardware as device
from edgeroberta.hardware import Device
from edgeroberta.hardware.gpu import GpuWatch
from edgeroberta.measure.validity import CpuTimes, Surroundings, Watch, cpu_times, steal_between
from edgeroberta.targets.matching import machine

#: Makes what looks at a device during a turn, given what the model runs on: ``cpu`` or a GPU's name.
Looking = Callable[[str], Watch]


def watch_on(facts: Device) -> Looking:
    """Choose what looks during turns: at the card, for models on a discrete GPU, or at the machine."""
    found = machine(facts)
    on_card = bool(found.gpus) and found.board is None

    def look(runs_on: str) -> Watch:
        return GpuWatch() if on_card and runs_on != "cpu" else device.Watch()

    return look


@dataclass(frozen=True)
class Before:
    """The machine before a run; :func:`after` completes it."""

    device: Device
    times: CpuTimes | None
    state: dict[str, Any]
    warnings: tuple[str, ...]


def before(facts: Device) -> Before:
    """Look at the machine before a run."""
    state, warnings = _state()
    return Before(facts, cpu_times(), state, warnings)


def after(start: Before) -> Surroundings:
    """Look again and say what lies between."""
    return Surroundings(
        load=start.device.load,
        cores=start.device.cores,
        steal=steal_between(start.times, cpu_times()),
        before=start.state,
        after=_state()[0],
        warnings=start.warnings,
    )


def _state() -> tuple[dict[str, Any], tuple[str, ...]]:
    state = device.read_state()
    return device.for_json(state), device.warnings(state)
