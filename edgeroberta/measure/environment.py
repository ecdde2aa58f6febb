"""Looks at the machine around a run, as far as it tells about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeroberta import hardware as device
from edgeroberta.hardware import MachineFacts
from edgeroberta.hardware.gpu import GpuMonitor
from edgeroberta.measure.validity import CpuTimes, Environment, Monitor, cpu_times, steal_between
from edgeroberta.targets.matching import target_facts

#: Makes what looks at a device during a turn, given what the model runs on: ``cpu`` or a GPU's name.
Looking = Callable[[str], Monitor]


def watch_on(facts: MachineFacts) -> Looking:
    """Choose what looks during turns: at the card, for models on a discrete GPU, or at the machine."""
    found = target_facts(facts)
    on_card = bool(found.gpus) and found.board is None

    def look(runs_on: str) -> Monitor:
        return GpuMonitor() if on_card and runs_on != "cpu" else device.DeviceMonitor()

    return look


@dataclass(frozen=True)
class EnvironmentBefore:
    """The machine before a run; :func:`environment_after` completes it."""

    device: MachineFacts
    times: CpuTimes | None
    state: dict[str, Any]
    warnings: tuple[str, ...]


def environment_before(facts: MachineFacts) -> EnvironmentBefore:
    """Look at the machine before a run."""
    state, warnings = _state()
    return EnvironmentBefore(facts, cpu_times(), state, warnings)


def environment_after(start: EnvironmentBefore) -> Environment:
    """Look again and say what lies between."""
    return Environment(
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
