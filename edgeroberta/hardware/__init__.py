"""What a device is and how it is doing: the facts that a number needs beside it.

Everything is read from text files under a root, so that a tree of files stands for a device.

- :func:`here` says what the machine is, :func:`read_state` how it is doing, :func:`warnings` what that means
  for a measurement, :func:`describe` and :func:`for_json` put it into tables and files.
- :class:`Watch` looks on during a run: energy, temperatures, clocks, throttling.
"""

from __future__ import annotations

from edgeroberta.hardware.describing import describe, for_json, rows, warnings
from edgeroberta.hardware.facts import Device, here, versions
from edgeroberta.hardware.state import State, read_state
from edgeroberta.hardware.watch import Watch, Watched, energy_per_text, idle_power

__all__ = [
    "Device",
    "State",
    "Watch",
    "Watched",
    "describe",
    "energy_per_text",
    "for_json",
    "here",
    "idle_power",
    "read_state",
    "rows",
    "versions",
    "warnings",
]
