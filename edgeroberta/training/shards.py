"""What a model says of every text, kept on disk in shards and read batch by batch.

Per-token outputs are packed without padding, and a batch reads its own from disk, so neither memory nor
open files grow with the number of texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.training.batching import Indices, Tokens
from edgeroberta.training.npy_reader import EntryLayout, NpyReader

#: Texts per shard: some seconds of work for a small model, some minutes for a large one.
SHARD = 2048
LOGITS, HIDDEN, ATTENTION = "logits.npy", "hidden.npy", "attention.npy"


@dataclass(frozen=True, eq=False)
class BatchOutputs:
    """A model's outputs for one batch."""

    #: float32[B, L], or float32[B, S, L] where answers are per token, 0 where no token is, or
    #: float32[masks, L] where they are of masks
    logits: npt.NDArray[np.float32]
    hidden: npt.NDArray[np.floating] | None  # float[B, S, k, H], 0 where no token is; None when not kept
    attention: npt.NDArray[np.floating] | None  # float[B, S, 3, width of the last attention], likewise


class ShardedOutputs:
    """Finished outputs, read batch by batch.

    ``tokens``: the texts they belong to, in the same order. ``units``: int64[n + 1], where each text's
    vectors of logits start, where these are of tokens or of masks; None where a text has one.
    """

    def __init__(self, folder: Path, tokens: Tokens, *, units: Indices | None = None) -> None:
        self._tokens, self._units = tokens, units
        self._paths = paths(folder, len(tokens))
        files = {name: self._paths[0] / name for name in (LOGITS, HIDDEN, ATTENTION)}
        self._layouts = {name: EntryLayout.of(file) for name, file in files.items() if file.is_file()}

    def batch(self, rows: Indices) -> BatchOutputs:
        """Return the outputs of the texts at ``rows``, padded as :meth:`Tokens.batch` pads."""
        logits = self._read(LOGITS, rows, self._units)
        if self._units is None:
            logits = logits[:, 0]
        elif self._units is not self._tokens.offsets:  # of masks, one after the other
            counts = self._units[rows + 1] - self._units[rows]
            logits = logits[np.arange(logits.shape[1]) < counts[:, None]]
        return BatchOutputs(logits, self._padded(HIDDEN, rows), self._padded(ATTENTION, rows))

    def hidden(self, rows: Indices) -> npt.NDArray[np.floating]:
        """Return the hidden states alone, which must have been kept; see :class:`BatchOutputs`."""
        return self._read(HIDDEN, rows, self._tokens.offsets)

    def logits(self) -> npt.NDArray[np.float32]:
        """Return the logits of all texts, float32[n, L], or float32[tokens, L]."""
        return np.concatenate([np.load(path / LOGITS, allow_pickle=False) for path in self._paths])

    def _padded(self, name: str, rows: Indices) -> npt.NDArray[np.floating] | None:
        return self._read(name, rows, self._tokens.offsets) if name in self._layouts else None

    def _read(self, name: str, rows: Indices, offsets: Indices | None) -> npt.NDArray[Any]:
        """Read one kind of output; ``offsets``: where each text's entries start (None: one each)."""

        def start(row: Any) -> Any:
            return row if offsets is None else offsets[row]

        layout = self._layouts[name]
        lengths, numbers = np.asarray(start(rows + 1) - start(rows)), rows // SHARD
        result = np.zeros((len(rows), int(lengths.max()), *layout.tail), layout.dtype)
        for number in np.unique(numbers).tolist():
            first = number * SHARD
            count = start(first + size(number, len(self._tokens))) - start(first)
            with NpyReader(self._paths[number] / name, layout, int(count)) as readers:
                for place in np.flatnonzero((numbers == number) & (lengths > 0)):
                    readers.read(int(start(rows[place]) - start(first)), result[place, : lengths[place]])
        return result


def paths(folder: Path, total: int) -> list[Path]:
    """Return where the shards of so many texts are."""
    return [folder / f"shard-{number:06d}" for number in range(-(-total // SHARD))]


def size(number: int, total: int) -> int:
    """Return how many texts a shard holds."""
    return min(SHARD, total - number * SHARD)
