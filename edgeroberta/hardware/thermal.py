"""Temperatures, and the cooling devices that slow a processor down."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.hardware import sysfs

#: Below and above, a sensor is broken or powered down: silicon is off long before 150 °C.
COLDEST, HOTTEST = -40.0, 150.0
#: Cooling devices that cool by slowing down; not fans, and not "TCC Offset", which is a setting.
#: (https://docs.kernel.org/driver-api/thermal/sysfs-api.html; Jetson's ``cpu-throttle-alert`` and the like:
#: NVIDIA, Jetson Linux Developer Guide r36, "Thermal Management".)
_SLOWS = re.compile(r"cpufreq|devfreq|throttle|powerclamp|^Processor$|cpu-emergency|gpu-cooling")


@dataclass(frozen=True)
class Zone:
    """A thermal zone."""

    name: str  # what it measures: ``cpu-thermal``, ``x86_pkg_temp``
    celsius: float  # its temperature
    passive_celsius: float | None = None  # where the kernel begins to slow down; None without such a point
    critical_celsius: float | None = None  # where it shuts down


def zones(root: Path = Path("/")) -> tuple[Zone, ...]:
    """Return the thermal zones that have a temperature; a powered-down sensor has none."""
    found = []
    for folder in zone_folders(root):
        temperature = celsius(folder / "temp")
        if temperature is not None:
            name = (sysfs.text(folder / "type") or folder.name)[:40]
            found.append(Zone(name, temperature, _trip(folder, "passive"), _trip(folder, "critical")))
    return tuple(found)


def zone_folders(root: Path) -> list[Path]:
    """Return the folders of the thermal zones."""
    return sysfs.children(root / "sys/class/thermal", "thermal_zone*")


def celsius(path: Path) -> float | None:
    """Return a temperature file, which is in 1/1000 °C; None when it is broken or powered down."""
    number = sysfs.integer(path)
    if number is None or not COLDEST <= number / 1000 <= HOTTEST:
        return None
    return number / 1000


def slowing_devices(root: Path = Path("/")) -> dict[str, Path]:
    """Return the state files of the cooling devices that slow processors down, by name and number."""
    found = {}
    for folder in sysfs.children(root / "sys/class/thermal", "cooling_device*"):
        name = sysfs.text(folder / "type") or ""
        if _SLOWS.search(name):
            found[f"{name[:40]} ({folder.name.removeprefix('cooling_device')[:6]})"] = folder / "cur_state"
    return found


def _trip(folder: Path, kind: str) -> float | None:
    points = [
        celsius(folder / f"{path.name.removesuffix('_type')}_temp")
        for path in sysfs.children(folder, "trip_point_*_type")
        if sysfs.text(path) == kind
    ]
    # A disabled trip point is 0 or negative.
    return min((point for point in points if point is not None and point > 0), default=None)
