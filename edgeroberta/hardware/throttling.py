"""Throttling: what the firmware and the kernel say about having slowed the device down.

Three kinds of evidence: counters that only grow (compared before and after a run), flags that are set while
it happens, and flags that stay set since the boot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgeroberta.hardware import sysfs, thermal

#: Bits of the Raspberry Pi's ``get_throttled``; 16 higher they say "since the boot".
#: (https://www.raspberrypi.com/documentation/computers/os.html#get_throttled)
PI_BITS = {
    0: "under-voltage",
    1: "ARM frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
PI_SINCE_BOOT = 16
#: The Pi 4 has its firmware node under ``soc``, the Pi 5 under a ``soc@…`` or beside it.
PI_PLACES = (("soc*", "*firmware"), ("*firmware",))
#: Event counters of the ``soctherm_oc`` hwmon device of Orin and Thor.
#: (NVIDIA, Jetson Linux Developer Guide r36, "Over-Current Event Status Polling".)
OVER_CURRENT = {
    "oc1_event_cnt": "under-voltage",
    "oc2_event_cnt": "average over-current",
    "oc3_event_cnt": "instantaneous over-current",
}
#: Counters of ``thermal_throttle``; each processor repeats those of its core and of its package.
#: (https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-devices-system-cpu)
INTEL_COUNTERS = ("core_throttle_count", "package_throttle_count")


@dataclass(frozen=True)
class Throttling:
    """What is known about throttling at one moment."""

    now: bool | None = None  # True while the device is slowed down, None when nothing here would say
    since_boot: bool | None = None  # True when it was since the boot, None when nothing here would say
    causes: tuple[str, ...] = ()  # what slows it down now: ``under-voltage``, ``cpu-throttle-alert (3)``
    past: tuple[str, ...] = ()  # what the firmware remembers since the boot
    counters: dict[str, int] = field(default_factory=dict)  # counters that only grow, by name

    def events_since(self, before: Throttling) -> tuple[str, ...]:
        """Return what happened after ``before``; a counter that is new or was reset is no event."""
        grown = {
            name: value - before.counters[name]
            for name, value in self.counters.items()
            if value > before.counters.get(name, value)
        }
        new = [cause for cause in self.past if cause not in before.past]
        return (*(f"{name} {times} times" for name, times in grown.items()), *new)


def throttling(root: Path = Path("/")) -> Throttling:
    """Look for signs of throttling."""
    counters = {**_intel(root), **_over_current(root)}
    flags, undervolted = pi_flags(root), pi_undervolted(root)
    devices = thermal.slowing_devices(root)
    causes = [name for name, state in devices.items() if (sysfs.integer(state) or 0) > 0]
    causes += ["under-voltage"] if undervolted else []
    causes += [name for name in pi_causes(flags) if name not in causes]
    past = pi_causes((flags or 0) >> PI_SINCE_BOOT)
    tells = bool(devices) or flags is not None or undervolted is not None
    since_boot = bool(past or any(counters.values())) if flags is not None or counters else None
    return Throttling(bool(causes) if tells else None, since_boot, tuple(causes), past, counters)


def pi_flags(root: Path) -> int | None:
    """Return the Raspberry Pi firmware's flags (hexadecimal, without ``0x``), None elsewhere."""
    file = pi_flags_file(root)
    flags = sysfs.whole(sysfs.text(file), 16) if file else None
    return flags if flags is not None and flags >= 0 else None


def pi_causes(flags: int | None) -> tuple[str, ...]:
    """Return what the lowest four flags of the Raspberry Pi's firmware say."""
    return tuple(name for bit, name in PI_BITS.items() if max(flags or 0, 0) >> bit & 1)


def pi_flags_file(root: Path) -> Path | None:
    """Return the file with the Raspberry Pi firmware's flags."""
    for place in PI_PLACES:
        folders = [root / "sys/devices/platform"]
        for pattern in place:
            folders = [each for folder in folders for each in sysfs.children(folder, pattern)]
        for folder in folders:
            if sysfs.text(folder / "get_throttled") is not None:
                return folder / "get_throttled"
    return None


def pi_undervolted(root: Path) -> bool | None:
    """Return the alarm of the Raspberry Pi's ``rpi_volt``, None where there is none."""
    for folder in hwmon(root, "rpi_volt"):
        if (alarm := sysfs.integer(folder / "in0_lcrit_alarm")) is not None:
            return alarm != 0
    return None


def hwmon(root: Path, name: str) -> list[Path]:
    """Return the hwmon folders of a driver."""
    folders = sysfs.children(root / "sys/class/hwmon", "hwmon*")
    return [folder for folder in folders if sysfs.text(folder / "name") == name]


def _intel(root: Path) -> dict[str, int]:
    counts: dict[str, list[int]] = {}
    for folder in sysfs.children(root / "sys/devices/system/cpu", "cpu[0-9]*"):
        for name in INTEL_COUNTERS:
            count = sysfs.integer(folder / "thermal_throttle" / name)
            if count is not None and count >= 0:
                counts.setdefault(f"thermal throttling of a {name.partition('_')[0]}", []).append(count)
    return {name: sum(each) for name, each in counts.items()}


def _over_current(root: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for folder in hwmon(root, "soctherm_oc"):
        for path in sysfs.children(folder, "oc*_event_cnt"):
            count = sysfs.integer(path)
            if count is not None and count >= 0:
                found[OVER_CURRENT.get(path.name, path.name[:40])] = count
    return found
