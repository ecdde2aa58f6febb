"""What a device is and how it is doing: the facts that a number needs beside it.

Everything is read from text files under a root, so that a tree of files stands for a device.

- :func:`machine_facts` says what the machine is, :func:`read_state` how it is doing, :func:`warnings` what
  that means for a measurement, :func:`describe` and :func:`for_json` put it into tables and files.
- :class:`DeviceMonitor` looks on during a run: energy, temperatures, clocks, throttling.
"""

from __future__ import annotations

from edgeroberta.hardware.describing import describe, for_json, rows, warnings
from edgeroberta.hardware.facts import MachineFacts, machine_facts, versions
from edgeroberta.hardware.state import DeviceState, read_state
from edgeroberta.hardware.watch import DeviceMonitor, DeviceTelemetry, energy_per_text, idle_power

__all__ = [
    "DeviceMonitor",
    "DeviceState",
    "DeviceTelemetry",
    "MachineFacts",
    "describe",
    "energy_per_text",
    "for_json",
    "idle_power",
    "machine_facts",
    "read_state",
    "rows",
    "versions",
    "warnings",
]
