"""What calls with a user's texts take, predicted or measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CallTimes:
    """Figures of calls with single texts, tokenization included, in seconds."""

    mean: float
    p50: float  # median
    p95: float  # 95th percentile
    p99: float  # 99th percentile

    @classmethod
    def of(cls, calls: Floats) -> CallTimes:
        """Sum up the seconds of calls, float64 ``[calls]``."""
        p50, p95, p99 = np.percentile(calls, (50, 95, 99))
        return cls(float(calls.mean()), float(p50), float(p95), float(p99))

    @classmethod
    def mixed(cls, parts: Sequence[tuple[float, Floats]]) -> CallTimes:
        """Sum up calls of several kinds: the share of each, and float64 ``[calls]``, the seconds of such."""
        calls = np.concatenate([seconds for _, seconds in parts])
        weights = np.concatenate([np.full(len(seconds), share / len(seconds)) for share, seconds in parts])
        order = np.argsort(calls)
        reached = np.cumsum(weights[order])
        places = np.searchsorted(reached, reached[-1] * np.array([0.5, 0.95, 0.99]))
        p50, p95, p99 = calls[order][np.minimum(places, len(calls) - 1)]
        return cls(float(calls @ weights / reached[-1]), float(p50), float(p95), float(p99))

    def to_json(self) -> dict[str, float]:
        """Return them in milliseconds, as a JSON object."""
        return {f"{name}_ms": seconds * 1000 for name, seconds in vars(self).items()}
