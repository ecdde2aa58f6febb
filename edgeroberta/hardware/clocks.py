"""Clocks: between which limits they may move, whether they are locked, and what governs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.hardware import sysfs

#: devfreq nodes that are a Jetson's GPU: Xavier and Orin by address, Orin's and Xavier's older names, Thor's
#: compute cluster (its video cluster ``gpu-nvd-0`` is not what a network runs on).
GPU_NODES = ("*.gpu", "*.ga10b", "*.gv11b", "*.gp10b", "gpu-gpc-0")
#: BPMP's clock tree, readable by root only; ``jetson_clocks`` locks the memory clock there.
EMC = "sys/kernel/debug/bpmp/debug/clk/emc"

_SHOW_CPU = re.compile(
    r"^cpu(\d{1,4}):\s*Online=(\d)\s+Governor=([\w-]{1,40})\s+"
    r"MinFreq=(\d{1,12})\s+MaxFreq=(\d{1,12})\s+CurrentFreq=(\d{1,12})\b",
    re.MULTILINE,
)
_SHOW = re.compile(
    r"^(GPU|EMC)\s+MinFreq=(\d{1,15})\s+MaxFreq=(\d{1,15})\s+CurrentFreq=(\d{1,15})"
    r"(?:\s+FreqOverride=(\d))?",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Clock:
    """One clock."""

    name: str  # ``cpu0`` (the first processor of its policy), ``gpu`` or ``emc`` (the memory)
    minimum_hz: int | None  # lowest it may go now; None when unknown
    maximum_hz: int | None  # highest it may go now
    current_hz: int | None = None  # what it is; None or 0 when unknown or powered down
    limit_hz: int | None = None  # highest that the hardware can; None when unknown
    governor: str | None = None  # what moves it
    override: bool | None = None  # ``jetson_clocks`` holds it at its maximum, whatever the minimum says

    @property
    def locked(self) -> bool | None:
        """True when it cannot move; None when unknown."""
        if self.override:
            return True
        if not self.minimum_hz or not self.maximum_hz:
            return self.override
        return self.minimum_hz >= self.maximum_hz


def clocks(root: Path = Path("/"), show: str | None = None) -> tuple[Clock, ...]:
    """Return the clocks of CPU policies, GPU and memory; ``show``: output of ``jetson_clocks --show``."""
    found = [*_policies(root), *_gpu(root), *_emc(root)]
    names = {clock.name for clock in found}
    cpus = any(name.startswith("cpu") for name in names)
    for clock in shown(show):
        if clock.name not in names and not (cpus and clock.name.startswith("cpu")):
            found.append(clock)
    return tuple(found)


def locked(found: Sequence[Clock]) -> bool | None:
    """True when every clock that says so is locked, False when one floats, None when none says."""
    known = [clock.locked for clock in found if clock.locked is not None]
    return all(known) if known else None


def governors(found: Sequence[Clock]) -> tuple[str, ...]:
    """Return the CPU governors in use, each once."""
    return tuple(sorted({clock.governor for clock in found if clock.governor and clock.name[:3] == "cpu"}))


def policies(root: Path) -> list[Path]:
    """Return the folders of cpufreq, one per policy; older kernels have one per processor only."""
    cpus = root / "sys/devices/system/cpu"
    return sysfs.children(cpus / "cpufreq", "policy*") or [
        folder / "cpufreq"
        for folder in sysfs.children(cpus, "cpu[0-9]*")
        if sysfs.text(folder / "cpufreq/scaling_governor")
    ]


def gpu_nodes(root: Path) -> list[Path]:
    """Return the GPU's devfreq folders."""
    devfreq = root / "sys/class/devfreq"
    return [node for pattern in GPU_NODES for node in sysfs.children(devfreq, pattern)]


def shown(output: str | None) -> tuple[Clock, ...]:
    """Return the clocks in the output of ``jetson_clocks --show``; processors that are off are left out.

    CPU lines are in kHz, GPU and EMC lines in Hz. The memory's ``MinFreq`` stays low when it is locked:
    ``FreqOverride=1`` says so. (NVIDIA, Jetson Linux Developer Guide, "Maximizing Jetson Performance".)
    """
    found = []
    for number, online, governor, *limits in _SHOW_CPU.findall(output or ""):
        if online == "1":
            least, most, now = (int(limit) * 1000 for limit in limits)
            found.append(Clock(f"cpu{int(number)}", least, most, now, governor=governor))
    for name, least, most, now, override in _SHOW.findall(output or ""):
        held = override == "1" if override else None
        found.append(Clock(name.lower(), int(least), int(most), int(now), override=held))
    return tuple(found)


def _policies(root: Path) -> list[Clock]:
    found = []
    for folder in policies(root):
        named = folder.name if folder.name.startswith("policy") else folder.parent.name
        number = named.removeprefix("policy").removeprefix("cpu")
        clock = Clock(
            f"cpu{number[:4]}",
            _hertz(folder / "scaling_min_freq", 1000),
            _hertz(folder / "scaling_max_freq", 1000),
            _hertz(folder / "scaling_cur_freq", 1000),
            _hertz(folder / "cpuinfo_max_freq", 1000),
            sysfs.text(folder / "scaling_governor"),
        )
        if clock.maximum_hz or clock.governor:
            found.append(clock)
    return found


def _gpu(root: Path) -> list[Clock]:
    found = []
    for node in gpu_nodes(root)[:1]:
        least, most, now = (_hertz(node / f"{name}_freq", 1) for name in ("min", "max", "cur"))
        steps = (sysfs.text(node / "available_frequencies") or "").split()
        limit = max((sysfs.whole(step) or 0 for step in steps), default=0)
        if most:
            found.append(Clock("gpu", least, most, now, limit or None, sysfs.text(node / "governor")))
    return found


def _emc(root: Path) -> list[Clock]:
    folder = root / EMC
    rate, held = sysfs.integer(folder / "rate"), sysfs.integer(folder / "mrq_rate_locked")
    if rate is None or held is None:
        return []
    limits = _hertz(folder / "min_rate", 1), _hertz(folder / "max_rate", 1)
    return [Clock("emc", *limits, rate, override=held == 1)]


def _hertz(path: Path, unit: int) -> int | None:
    """A frequency in Hz; none is negative or beyond 100 GHz."""
    number = sysfs.integer(path)
    return number * unit if number is not None and 0 <= number * unit <= 10**11 else None
