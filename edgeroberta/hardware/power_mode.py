"""The power mode of a Jetson, and whether it is the one that lets it run as fast as it can."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.hardware import sysfs

_STATUS = re.compile(r"\bpmode:(\d{1,6})\b")
_MODEL = re.compile(r"^\s*<\s*POWER_MODEL\s+ID=(\d{1,6})\s+NAME=([\w.+-]{1,40})\s*>", re.MULTILINE)
_QUERY = re.compile(r"NV Power Mode:\s*([\w.+-]{1,40})\s+(\d{1,6})\b")
_WATTS = re.compile(r"(\d{1,4})W(?![A-Za-z])")
_CORES = re.compile(r"(\d{1,3})CORE")


@dataclass(frozen=True)
class PowerMode:
    """A power mode of ``nvpmodel``."""

    number: int  # what ``nvpmodel -m`` takes; the numbers do not follow the power
    name: str | None = None  # ``15W``, ``MAXN_SUPER``; None when the configuration does not name it
    best_number: int | None = None  # number of the maximal mode, None when the configuration is not readable
    best_name: str | None = None

    @property
    def maximal(self) -> bool | None:
        """True in the mode with the highest limits; None when unknown."""
        return None if self.best_number is None else self.number == self.best_number

    def describe(self) -> str:
        """Return ``15W (mode 0)``."""
        return f"{self.name or 'unnamed'} (mode {self.number})"


def power_mode(root: Path = Path("/"), query: str | None = None) -> PowerMode | None:
    """Return the power mode; ``query``: output of ``nvpmodel -q``, for when the status file is missing."""
    named = modes(sysfs.text(root / "etc/nvpmodel.conf"))
    best = maximal(named)
    best_name = named.get(best) if best is not None else None
    if (number := status(sysfs.text(root / "var/lib/nvpmodel/status"))) is not None:
        return PowerMode(number, named.get(number), best, best_name)
    asked = _QUERY.search(query or "")
    return PowerMode(int(asked[2]), asked[1], best, best_name) if asked else None


def status(content: str | None) -> int | None:
    """Return 2 from ``pmode:0002 fmode:quiet``, what ``nvpmodel`` remembers over a reboot."""
    found = _STATUS.search(content or "")
    return int(found[1]) if found else None


def modes(content: str | None) -> dict[int, str]:
    """Return the modes that ``nvpmodel.conf`` defines by ``< POWER_MODEL ID=0 NAME=MAXN >``, by number."""
    return {int(number): name for number, name in _MODEL.findall(content or "")}


def maximal(named: Mapping[int, str]) -> int | None:
    """Return the number of the mode with the highest limits.

    MAXN has no power limit, and where both exist MAXN_SUPER has the higher clocks; without a MAXN (Orin Nano
    before JetPack 6.2, Xavier NX) it is the mode of most watts, then of most cores. The number says nothing:
    an Orin Nano Super has 15W as 0, 25W as 1, MAXN_SUPER as 2 and 7W as 3.
    (NVIDIA, Jetson Linux Developer Guide r36.4.3, "Supported Modes and Power Efficiency".)
    """

    def rank(number: int) -> tuple[bool, bool, int, int, int]:
        name = named[number].upper()
        watts, cores = _WATTS.search(name), _CORES.search(name)
        return (
            "MAXN" in name,
            "SUPER" in name,
            int(watts[1]) if watts else 0,
            int(cores[1]) if cores else 0,
            -number,
        )

    return max(named, key=rank, default=None)
