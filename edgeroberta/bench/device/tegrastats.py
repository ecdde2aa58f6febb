"""Reads a line of NVIDIA's ``tegrastats``.

(NVIDIA, Jetson Linux Developer Guide r36.4.3, "tegrastats Utility".)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RAM = re.compile(r"\bRAM (\d{1,8})/(\d{1,8})MB")
_SWAP = re.compile(r"\bSWAP (\d{1,8})/\d{1,8}MB")
_CPU = re.compile(r"\bCPU \[([^\]]*)\]")
_LOAD = re.compile(r"^(\d{1,3})%@\d+$")
_GPU = re.compile(r"\bGR3D_FREQ (\d{1,3})%")
_CELSIUS = re.compile(r"\b([A-Za-z]\w{0,30})@(-?\d{1,3}(?:\.\d{1,3})?)C\b")
_RAIL = re.compile(r"\b([A-Z]\w{0,30}) (-?\d{1,7})mW/-?\d{1,7}mW")


@dataclass(frozen=True)
class Line:
    """One line of ``tegrastats``.

    Attributes:
        ram_used_mb: Memory in use.
        ram_total_mb: Memory there is.
        swap_used_mb: Swap in use.
        cpu_percent: Load of each processor; None for one that is off.
        gpu_percent: Load of the GPU.
        celsius: Temperatures by sensor.
        milliwatts: Power by rail, at this moment.
    """

    ram_used_mb: int | None
    ram_total_mb: int | None
    swap_used_mb: int | None
    cpu_percent: tuple[int | None, ...]
    gpu_percent: int | None
    celsius: dict[str, float]
    milliwatts: dict[str, int]


def parse(line: str) -> Line:
    """Read a line; what it lacks is None or empty."""
    ram, swap, cpu, gpu = (pattern.search(line) for pattern in (_RAM, _SWAP, _CPU, _GPU))
    loads = [_LOAD.match(word.strip()) for word in cpu[1].split(",")] if cpu else []
    return Line(
        ram_used_mb=int(ram[1]) if ram else None,
        ram_total_mb=int(ram[2]) if ram else None,
        swap_used_mb=int(swap[1]) if swap else None,
        cpu_percent=tuple(int(load[1]) if load else None for load in loads),
        gpu_percent=int(gpu[1]) if gpu else None,
        celsius={name: float(degrees) for name, degrees in _CELSIUS.findall(line)},
        milliwatts={name: int(power) for name, power in _RAIL.findall(line)},
    )
