"""Where a device measures its own power: INA3221 rails on a Jetson, RAPL counters on Intel and AMD.

A total is made of parts that do not contain each other, or it is not made at all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.hardware import sysfs, throttling

#: Rails that together are the module's power, tried in this order; what else a board has is part of them.
#: Xavier NX, Orin NX and Orin Nano measure the module's input as VDD_IN, and parts of it as VDD_CPU_GPU_CV
#: and VDD_SOC. AGX Orin has no such rail: VDDQ_VDD2_1V8AO (memory) is fed from VIN_SYS_5V0 and so not added.
#: AGX Xavier feeds its six rails apart from each other. Thor's input is also measured, carrier board
#: included, by an INA238 ("VIN"): that is not the module, so it is not taken. (NVIDIA, Jetson Linux Developer
#: Guide r35.6, r36.4.3 and r38.2, platform power and performance; AGX Xavier design guide DG-09840, 5.6.2.)
TOTALS = (
    ("VDD_IN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)
#: Places of the INA3221, of NVIDIA's kernels first; both show the same devices.
INA3221 = "sys/bus/i2c/drivers/ina3221"
POWERCAP = "sys/class/powercap"
#: Domains of powercap that do not contain each other: a package contains its ``core`` and ``uncore``,
#: ``psys`` contains the package, and memory is outside of it. ``intel-rapl-mmio`` repeats ``package-0``.
#: (https://docs.kernel.org/power/powercap/powercap.html; Intel SDM volume 3, "RAPL Interfaces".)
DOMAINS = ("package", "dram")
NO_SENSOR = "no power sensor that this program knows"
PI_REASON = (
    "a Raspberry Pi has no power sensor that the kernel shows "
    "(the Pi 5's supply chip is read by `vcgencmd pmic_read_adc` and leaves out what USB draws)"
)
DENIED = "the energy counters need root: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"


@dataclass(frozen=True)
class Rail:
    """A measured supply rail."""

    name: str  # its label
    millivolts: Path  # file of the voltage
    milliamperes: Path  # file of the current

    def watts(self) -> float | None:
        """Return its power now; an idle rail may read slightly below zero."""
        voltage, current = sysfs.integer(self.millivolts), sysfs.integer(self.milliamperes)
        if voltage is None or current is None or not (0 <= voltage <= 100_000 and abs(current) <= 100_000):
            return None
        return voltage * current / 1e6


@dataclass(frozen=True)
class RaplCounter:
    """An energy counter."""

    name: str  # ``package-0``, ``dram``
    microjoules: Path  # its file
    range_uj: int  # where it starts again from zero; 0 when unknown

    def joules_between(self, before: int, after: int) -> float | None:
        """Return the energy between two counts, over at most one wrap; None when it cannot be told."""
        if after >= before:
            return (after - before) / 1e6
        if before > self.range_uj:  # it went back without having reached its end
            return None
        return (self.range_uj - before + after) / 1e6


@dataclass(frozen=True)
class EnergySource:
    """Where the energy of a run comes from."""

    kind: str | None = None  # ``ina3221`` or ``powercap``; None when there is none
    rails: tuple[Rail, ...] = ()  # rails whose sum is the total
    counters: tuple[RaplCounter, ...] = ()  # counters whose sum is the total
    scope: str = ""  # what the total covers: ``module``, ``processor``, ``processor and memory``
    reason: str = ""  # why there is none; empty otherwise

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is summed."""
        return (*(rail.name for rail in self.rails), *(counter.name for counter in self.counters))

    def watts(self) -> float | None:
        """Return the sum of the rails now, None when one does not answer or there are none."""
        parts = [rail.watts() for rail in self.rails]
        known = [part for part in parts if part is not None]
        return sum(known) if known and len(known) == len(parts) else None

    def counts(self) -> tuple[int, ...] | None:
        """Return the counters now, None when one does not answer or there are none."""
        parts = [sysfs.integer(counter.microjoules) for counter in self.counters]
        known = [part for part in parts if part is not None and part >= 0]
        return tuple(known) if known and len(known) == len(parts) else None


def source(root: Path = Path("/"), *, raspberry_pi: bool = False) -> EnergySource:
    """Find out which rails or counters to sum for this device's power, or why there are none."""
    found = rails(root)
    if total := total_of([rail.name for rail in found]):
        by_name = {rail.name: rail for rail in found}
        return EnergySource("ina3221", tuple(by_name[name] for name in total), scope="module")
    if found:
        names = ", ".join(rail.name for rail in found)
        return EnergySource(reason=f"it is not known which of the rails {names} make up the total")
    zones = [file for file in sysfs.children(root / POWERCAP, "intel-rapl:*") if _domain(file)]
    found_counters = tuple(counter for zone in zones if (counter := _counter(zone)) is not None)
    if any(counter.name.startswith("package") for counter in found_counters):
        memory = any(_domain(zone) == "dram" for zone in zones if _counter(zone))
        scope = "processor and memory" if memory else "processor"
        return EnergySource("powercap", counters=found_counters, scope=scope)
    if any(sysfs.denied(zone / "energy_uj") for zone in zones):
        return EnergySource(reason=DENIED)
    return EnergySource(reason=PI_REASON if raspberry_pi else NO_SENSOR)


def total_of(names: Collection[str]) -> tuple[str, ...] | None:
    """Return which of these rails sum to the module's power, None when that is not known."""
    return next((total for total in TOTALS if set(total) <= set(names)), None)


def rails(root: Path) -> list[Rail]:
    """Return the rails of the INA3221s, each label once; channels that are not connected are left out."""
    chips = [
        folder
        for chip in sysfs.children(root / INA3221, "*-00*")
        for folder in sysfs.children(chip / "hwmon", "hwmon*")
    ]
    found: dict[str, Rail] = {}
    for folder in chips or throttling.hwmon(root, "ina3221"):
        for path in sysfs.children(folder, "in*_label"):
            number = path.name.removeprefix("in").removesuffix("_label")
            label = sysfs.text(path)
            rail = Rail(label or "", folder / f"in{number}_input", folder / f"curr{number}_input")
            if label and label.isprintable() and len(label) <= 40 and rail.watts() is not None:
                found.setdefault(label, rail)
    found.pop("NC", None)
    return list(found.values())


def _domain(zone: Path) -> str | None:
    name = sysfs.text(zone / "name") or ""
    return next((domain for domain in DOMAINS if name.startswith(domain)), None)


def _counter(zone: Path) -> RaplCounter | None:
    if sysfs.integer(zone / "energy_uj") is None:
        return None
    name = (sysfs.text(zone / "name") or "")[:40]
    return RaplCounter(name, zone / "energy_uj", max(sysfs.integer(zone / "max_energy_range_uj") or 0, 0))
