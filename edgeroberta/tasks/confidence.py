"""How sure a model is of an answer, so that a larger one need be asked only where it is not."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What turns outputs into a confidence; fitted on rows that the model was not trained on."""

    #: what logits are divided by, so that a probability of 90 % is right nine times of ten (Guo et al., On
    #: Calibration of Modern Neural Networks, 2017)
    temperature: float = 1.0
    #: of a number, which tells by itself nothing of how sure it is: values in ascending order, and beside
    #: each how far answers of about that value are off, one standard deviation
    values: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; :meth:`from_json` reads it."""
        fields: dict[str, Any] = {"temperature": self.temperature}
        if self.values:
            fields |= {"values": list(self.values), "spreads": list(self.spreads)}
        return fields

    def spread(self, value: float) -> float:
        """Return how far answers of about a value are off: between two values in a straight line."""
        above = bisect_right(self.values, value)
        if above in (0, len(self.values)):
            return self.spreads[min(above, len(self.values) - 1)]
        (left, right), (low, high) = self.values[above - 1 : above + 1], self.spreads[above - 1 : above + 1]
        return low + (high - low) * (value - left) / (right - left)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Calibration:
        """Read what :meth:`to_json` gave. Raises KeyError, TypeError or ValueError: it is something else."""
        values, spreads = (_numbers(fields.get(name, [])) for name in ("values", "spreads"))
        (temperature,) = _numbers([fields["temperature"]])
        if temperature <= 0 or len(values) != len(spreads) or any(each < 0 for each in spreads):
            raise ValueError(f"a calibration is {dict(fields)!r}")
        if list(values) != sorted(set(values)):
            raise ValueError("values of a calibration do not ascend")
        return cls(temperature, values, spreads)


def _numbers(found: Sequence[Any]) -> tuple[float, ...]:
    if not isinstance(found, list):
        raise TypeError(f"{found!r} is not a list of numbers")
    for each in found:
        if not isinstance(each, (int, float)) or isinstance(each, bool) or not np.isfinite(each):
            raise TypeError(f"{each!r} is not a number")
    return tuple(float(each) for each in found)


def top_probability(logits: npt.NDArray[np.float32], temperature: float) -> Floats:
    """Return the softmax of the largest of each row's logits, float64[n] of float32 ``[n, L]``."""
    scaled = logits.astype(np.float64) / temperature
    return np.asarray(1 / np.exp(scaled - scaled.max(axis=1, keepdims=True)).sum(axis=1))


def of_one(found: Floats | None) -> float:
    """Return the confidence of the one text that it was asked of. Raises ValueError: there is none."""
    if found is None:
        raise ValueError("there is no confidence")
    return float(found[0])


def top_probability_of_one(logits: Sequence[float], temperature: float) -> float:
    """Return the same of one row in plain floats, which for a handful of labels is several times quicker."""
    top = max(logits)
    return 1 / sum(math.exp((each - top) / temperature) for each in logits)
