"""What went on around a run, and what that makes of its times: valid, noisy, or not to be used at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.tasks import Word

#: How far the medians of a row's rounds may lie apart, as a part of their median.
MOST_SPREAD = 0.10
#: one-minute load average per core, before the run, above which other programs shared the machine.
MOST_LOAD = 0.5
#: Part of the processors' time that a hypervisor gave to others.
MOST_STEAL = 0.01


class RunValidity(Word):
    """Whether times may be relied on."""

    VALID = "valid"  #: nothing spoke against them
    NOISY = "noisy"  #: they vary, or others shared the machine: measure longer, or when it is quiet
    INVALID = "invalid"  #: the device throttled: they are not what it can do, and make no speed-up


@dataclass(frozen=True)
class Validity:
    """A verdict on a run with its reasons."""

    verdict: RunValidity = RunValidity.VALID  # whether its times may be relied on
    reasons: tuple[str, ...] = ()  # what speaks against it, a sentence each


class Telemetry(Protocol):
    """What was seen of the device during one turn."""

    @property
    def energy_j(self) -> float | None:
        """Joules, everything on the measured rails included; None when power is not measured."""

    @property
    def throttled(self) -> bool | None:
        """True when the device slowed itself down; None when nothing would tell."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """What says that it throttled."""


class Monitor(Protocol):
    """Looks at the device from ``with`` to its end, as ``edgeroberta.hardware.DeviceMonitor`` does."""

    @property
    def watched(self) -> Telemetry:
        """What was seen."""

    def __enter__(self) -> object:
        """Begin to look."""

    def __exit__(self, *error: object) -> None:
        """End it."""


@dataclass(frozen=True)
class NoTelemetry:
    """What is seen where nobody looks."""

    energy_j: float | None = None
    throttled: bool | None = None
    reasons: tuple[str, ...] = ()


class NullMonitor:
    """Looks at nothing: for what is not reported with the device's state."""

    watched = NoTelemetry()

    def __enter__(self) -> NullMonitor:
        """Begin to look at nothing."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""


def null_monitor(runs_on: str) -> Monitor:
    """Look at nothing."""
    return NullMonitor()


@dataclass(frozen=True)
class Environment:
    """The machine before and after a run."""

    load: float | None = None  # one-minute load average before; None when unknown
    cores: int = 1  # processors this process may use
    steal: float | None = None  # share of processor time that a hypervisor gave to others; None when unknown
    before: dict[str, Any] | None = None  # state of the device before; None when there was no way to read it
    after: dict[str, Any] | None = None  # the same afterwards
    warnings: tuple[str, ...] = ()  # what the device's state says against the numbers, a sentence each


def judge_run(
    around: Environment, throttled: Sequence[str], noisy_rows: Sequence[str], *, rounds: int
) -> Validity:
    """Say what a run's times are worth: INVALID when the device throttled, NOISY when other work disturbs."""
    if throttled:
        return Validity(RunValidity.INVALID, tuple(f"The device throttled: {why}." for why in throttled))
    reasons = []
    if noisy_rows:
        reasons.append(
            f"The rounds' medians lie more than {MOST_SPREAD:.0%} apart for {', '.join(noisy_rows)}."
        )
    if around.load is not None and around.load > MOST_LOAD * around.cores:
        reasons.append(f"Other programs were at work (load {around.load:.1f} on {around.cores} cores).")
    if around.steal is not None and around.steal > MOST_STEAL:
        reasons.append(f"The hypervisor gave {around.steal:.0%} of the processors' time to others.")
    if not reasons:
        return Validity()
    more = f"More rounds make it steadier, and a quiet machine: --rounds {2 * rounds}."
    return Validity(RunValidity.NOISY, (*reasons, more))


def require_valid(validity: Validity, *, where: str | None = None) -> None:
    """End a command whose numbers are not to be used, after they have been shown and kept."""
    if validity.verdict is RunValidity.INVALID:
        raise EdgeRobertaError(
            f"the run is not valid: {' '.join(validity.reasons)}",
            where=where,
            hint="let the device cool or give it a fan, or choose a power mode that it can hold; "
            "then measure again",
            code="bench.not-valid",
        )


@dataclass(frozen=True)
class CpuTimes:
    """The first line of ``/proc/stat``: ticks in all, and those that a hypervisor took."""

    total: int
    steal: int


def cpu_times(root: Path = Path("/")) -> CpuTimes | None:
    """Read how the processors' time was spent so far; None where there is no ``/proc/stat``."""
    try:
        words = (root / "proc/stat").read_text(encoding="ascii", errors="replace").split("\n", 1)[0].split()
    except OSError:
        return None
    # cpu user nice system idle iowait irq softirq steal guest guest_nice (proc_stat(5)); a guest's time is
    # in user and nice already.
    ticks = [int(word) for word in words[1:9] if word.isdigit()]
    return CpuTimes(sum(ticks), ticks[7]) if words[:1] == ["cpu"] and len(ticks) == 8 else None


def steal_between(before: CpuTimes | None, after: CpuTimes | None) -> float | None:
    """Return the part of the time between two readings that a hypervisor took; None when unknown."""
    if before is None or after is None or after.total <= before.total:
        return None
    return max(0, after.steal - before.steal) / (after.total - before.total)
