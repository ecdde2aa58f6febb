"""Rows of a new table, each the mean of rows of an old one, in the old one's type of number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta.tensorfile import TensorEntry

Indices = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_VIEWS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_BF16 = "BF16"


@dataclass(frozen=True, eq=False)
class RowMeans:
    """Which rows of an old table each row of a new one is the mean of."""

    ids: Indices  # int64[m], rows of the old table, those of the first new row in front
    starts: Indices  # int64[n + 1], where each new row's begin in ``ids``; every row has at least one

    @classmethod
    def of(cls, sources: Iterable[Sequence[int]]) -> RowMeans:
        """Make it of the old rows of each new one, in the order of the new ones."""
        ids: list[int] = []
        starts = [0]
        for each in sources:
            ids.extend(each)
            starts.append(len(ids))
        return cls(np.array(ids, np.int64), np.array(starts, np.int64))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def read(self, table: Bytes, entry: TensorEntry, first: int, last: int) -> bytes:
        """Return the new rows from ``first`` to before ``last`` as they are to be stored.

        A row with one source is a copy of it, bit for bit; means are taken in float64. ``table``: uint8
        [rows, bytes of a row], the old table. Raises CheckpointError: its numbers are not floats.
        """
        starts = self.starts[first : last + 1]
        rows = table[self.ids[starts[0] : starts[-1]]]
        counts = np.diff(starts)
        if (counts == 1).all():
            return rows.tobytes()
        if entry.dtype not in (*_VIEWS, _BF16):
            raise CheckpointError(
                f"rows stored as {entry.dtype} have no mean",
                where=str(entry.file),
                hint="name the checkpoint from before quantization",
            )
        places = starts[:-1] - starts[0]
        means = np.add.reduceat(_floats(rows, entry.dtype), places, axis=0) / counts[:, None]
        stored = _stored(means, entry.dtype)
        stored[counts == 1] = rows[places[counts == 1]]
        return stored.tobytes()


def _floats(rows: Bytes, dtype: str) -> Floats:
    if dtype == _BF16:  # the upper half of a float32
        return (rows.view("<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    return rows.view(_VIEWS[dtype]).astype(np.float64)


def _stored(values: Floats, dtype: str) -> Bytes:
    if dtype != _BF16:
        return values.astype(_VIEWS[dtype]).view(np.uint8)
    bits = values.astype("<f4").view("<u4")
    # To the nearest, of two that are as near to the even one.
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").view(np.uint8)
