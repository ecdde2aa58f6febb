"""Calibration: run the float graph on the user's text and keep what the range search needs.

Memory does not grow with the number of texts: per tensor it keeps running extremes per channel and
a fixed number of token rows chosen uniformly at random (reservoir sampling, Vitter 1985).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeroberta.roberta.quantized import Float


@dataclass(frozen=True)
class TensorStatistics:
    """What calibration saw of one activation tensor."""

    low: Float  # smallest value per channel, float32 [channels]
    high: Float  # largest value per channel, float32 [channels]
    rows: Float  # a uniform sample of its token rows, float32 [≤ sample size, channels]
    count: int  # token rows seen in all


class _Reservoir:
    """Running extremes, and a uniform sample of rows, of one tensor."""

    def __init__(self, size: int, width: int, rng: np.random.Generator) -> None:
        self._rows = np.empty((size, width), np.float32)
        self._low = np.full(width, np.inf, np.float32)
        self._high = np.full(width, -np.inf, np.float32)
        self._rng = rng
        self.count = 0

    def add(self, rows: Float) -> None:
        np.minimum(self._low, rows.min(axis=0), out=self._low)
        np.maximum(self._high, rows.max(axis=0), out=self._high)
        free = min(max(len(self._rows) - self.count, 0), len(rows))
        self._rows[self.count : self.count + free] = rows[:free]
        # Row number i (from 1) replaces a random kept one with probability size / i.
        numbers = np.arange(self.count + free + 1, self.count + len(rows) + 1)
        places = self._rng.integers(0, np.maximum(numbers, 1))
        for row, place in zip(rows[free:], places, strict=True):
            if place < len(self._rows):
                self._rows[place] = row
        self.count += len(rows)

    def statistics(self) -> TensorStatistics:
        return TensorStatistics(
            self._low, self._high, self._rows[: min(self.count, len(self._rows))], self.count
        )


def collect(
    graph: Path, tensors: Sequence[str], inputs: Iterable[NDArray[np.int64]], *, rows: int, seed: int
) -> Mapping[str, TensorStatistics]:
    """Run a float graph with observers over token ids and gather statistics of the observed tensors.

    ``graph``: ONNX file whose outputs contain ``tensors``. ``inputs``: token ids, int64 [length] each,
    without padding; read once, one at a time. ``rows``: size of the row sample per tensor.
    """
    from edgeroberta.quantization.ort import open_session

    session = open_session(graph)
    reservoirs: dict[str, _Reservoir] = {}
    for ids in inputs:
        feed = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        for index, (name, value) in enumerate(zip(tensors, session.run(list(tensors), feed), strict=True)):
            flat = np.asarray(value, np.float32).reshape(-1, value.shape[-1])
            if name not in reservoirs:
                reservoirs[name] = _Reservoir(rows, flat.shape[1], np.random.default_rng((seed, index)))
            reservoirs[name].add(flat)
    return {name: reservoir.statistics() for name, reservoir in reservoirs.items()}
