"""The axes of a drawing: which ticks they have, and where along them a value is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LinearAxis:
    """An axis with a tick every ``step``."""

    low: float
    high: float
    step: float

    @classmethod
    def over(
        cls, values: Sequence[float], *, least: float = 0.0, below: float = 0.0, most: float | None = None
    ) -> LinearAxis:
        """Choose about six round ticks that hold all values.

        The axis spans ``least`` or more, leaves ``below`` ticks free under the least value, and ends at
        ``most`` unless a value is beyond.
        """
        span = max(max(values) - min(values), least) or 1.0
        magnitude = 10.0 ** math.floor(math.log10(span / 5))
        step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= span / 6)
        low = math.floor(min(values) / step - below + 1e-9) * step
        high = math.ceil((max(values) + step * 0.25) / step - 1e-9) * step
        if most is not None:
            high = min(high, max(most, max(values)))
            low = min(low, math.floor((high - span) / step + 1e-9) * step)  # all values may be at that end
        return cls(low, high, step)

    def ticks(self) -> list[float]:
        """Return the values that have a tick."""
        count = int((self.high - self.low) / self.step + 1e-9)
        return [self.low + index * self.step for index in range(count + 1)]

    def part(self, value: float) -> float:
        """Return where a value is: 0 at the axis' low end, 1 at its high end."""
        return (value - self.low) / (self.high - self.low)

    def label(self, tick: float) -> str:
        """Write a tick as finely as the step asks for."""
        return f"{tick:.{digits(self.step)}f}"


@dataclass(frozen=True)
class LogarithmicAxis:
    """An axis of positive values whose ticks are 1, 2 and 5 times powers of ten."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> LogarithmicAxis:
        """Choose the ends, a tick each: the next below the least value and the next above the greatest."""
        ticks = _ticks(min(values) / 10, max(values) * 10)
        low = max(tick for tick in ticks if tick < min(values))
        return cls(low, min(tick for tick in ticks if tick > max(values)))

    def ticks(self) -> list[float]:
        """Return the values that have a tick."""
        return _ticks(self.low, self.high)

    def part(self, value: float) -> float:
        """Return where a value is: 0 at the axis' low end, 1 at its high end."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    def label(self, tick: float) -> str:
        """Write a tick without needless zeros."""
        return f"{tick:g}"


def digits(step: float) -> int:
    """Return how many decimals tell multiples of a step apart."""
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis from ``low`` to ``high``, both included if they are ticks."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    # Read from text, so that 0.1 is the number that is written so.
    ticks = [float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high]
