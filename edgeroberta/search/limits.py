"""What the user asks for: how fast, how small, and how much of the metric is to be kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import UsageError

#: Share of the baseline's metric that is to be kept where nothing is said.
KEEP = 0.98

_SECONDS = {"": 1e-3, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)"


@dataclass(frozen=True)
class BudgetLimits:
    """A budget; all limits that are given must hold."""

    speedup: float | None = None  # how many times faster than the baseline in float, by medians
    p95: float | None = None  # longest 95th percentile of a call, in seconds
    p99: float | None = None  # longest 99th percentile of a call, in seconds
    bytes: int | None = None  # most bytes of the bundle's folder
    keep: float = KEEP  # smallest share of the baseline's metric

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        p95, p99 = (None if each is None else each * 1000 for each in (self.p95, self.p99))
        times = {"p95_ms": p95, "p99_ms": p99}
        return {"speedup": self.speedup, **times, "bytes": self.bytes, "keep": self.keep}

    @property
    def told(self) -> str:
        """What is asked for, in words."""
        parts = []
        if self.speedup is not None:
            parts.append(f"{self.speedup:g}x the speed")
        for name, seconds in (("p95", self.p95), ("p99", self.p99)):
            if seconds is not None:
                parts.append(f"{name} of {seconds * 1000:g} ms")
        if self.bytes is not None:
            parts.append(f"{self.bytes / 1e6:g} MB")
        return f"{', '.join(parts)}, keeping {self.keep:.1%} of the metric"


def read(
    speedup: float | None, p95: str | None, p99: str | None, size: str | None, keep: float | None
) -> BudgetLimits | None:
    """Read the options of the command line.

    ``speedup``: what ``--speedup`` says. ``p95``, ``p99``: what these say: ``4ms``, ``4`` (milliseconds),
    ``0.004s`` or ``4000us``. ``size``: what ``--size`` says: ``12MB`` (10^6 bytes), ``800KB``; a plain number
    is bytes. ``keep``: what ``--keep`` says. Returns the budget; None where none of speed, time and size is
    given. Raises UsageError: one of them cannot be read or is out of range, or ``--keep`` stands alone.
    """
    if (speedup, p95, p99, size) == (None,) * 4:
        if keep is not None:
            raise UsageError(
                "--keep is given but no budget",
                where="--keep",
                hint="add --speedup, --p95, --p99 or --size; in a recipe the setting is verify.gate.min_kept",
            )
        return None
    if speedup is not None and not 0 < speedup < float("inf"):
        raise UsageError(f"{speedup:g} is no number above 0", where="--speedup", hint="--speedup 4")
    if keep is not None and not 0 < keep <= 1:
        raise UsageError(
            f"{keep:g} is no share above 0 and at most 1", where="--keep", hint="--keep 0.99 keeps 99 %"
        )
    return BudgetLimits(
        speedup=speedup,
        p95=None if p95 is None else seconds(p95),
        p99=None if p99 is None else seconds(p99, where="--p99"),
        bytes=None if size is None else size_in_bytes(size),
        keep=KEEP if keep is None else keep,
    )


def seconds(text: str, *, where: str = "--p95") -> float:
    """Read a time; a plain number is milliseconds."""
    found = re.fullmatch(rf"{_NUMBER}\s*(s|ms|us|µs)?", text.strip())
    value = float(found[1]) * _SECONDS[found[2] or ""] if found else 0.0
    if value <= 0:
        raise UsageError(f"{text!r} is no time", where=where, hint="write 4ms, 0.004s or 4000us")
    return value


def size_in_bytes(text: str) -> int:
    """Read a size; a plain number is bytes, MB is 10^6 of them."""
    found = re.fullmatch(rf"{_NUMBER}\s*(B|KB|MB|GB)?", text.strip().upper())
    value = round(float(found[1]) * _BYTES[found[2] or "B"]) if found else 0
    if value < 1:
        raise UsageError(f"{text!r} is no size", where="--size", hint="write 12MB (10^6 bytes) or 800KB")
    return value
