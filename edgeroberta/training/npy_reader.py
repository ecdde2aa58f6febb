"""Files of entries on disk: a reader of ``.npy`` files, and whether there is room for them.

A memory map holds its file open for as long as it lives: the shards of a million texts would need more
open files than a process may have (1,024 by default on Linux).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EdgeRobertaError


@dataclass(frozen=True)
class EntryLayout:
    """The form of one entry along an array's first axis: its shape and dtype."""

    tail: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, file: Path) -> EntryLayout:
        """Read it from a file's header."""
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        return cls(array.shape[1:], array.dtype)

    @property
    def bytes(self) -> int:
        """Bytes of an entry."""
        return prod(self.tail) * self.dtype.itemsize


class NpyReader:
    """An open ``.npy`` file of entries of a known layout, ``count`` of them."""

    def __init__(self, file: Path, layout: EntryLayout, count: int) -> None:
        self._path, self._layout, self._count = file, layout, count

    def __enter__(self) -> NpyReader:
        self._file = self._path.open("rb", buffering=0)
        self._start = self._path.stat().st_size - self._count * self._layout.bytes
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def read(self, first: int, into: npt.NDArray[Any]) -> None:
        """Read as many entries as ``into`` holds, from number ``first`` on; an error if the file ends."""
        buffer = into.data.cast("B")
        self._file.seek(max(self._start + first * self._layout.bytes, 0))
        if self._start <= 0 or self._file.readinto(buffer) != len(buffer):
            raise EdgeRobertaError(
                "the file is damaged: it is shorter than it was written",
                where=str(self._path),
                hint="delete the folder it is in and run the command again",
            )


def require(folder: Path, needed: int, *, what: str, otherwise: str = "") -> None:
    """Refuse to begin what the disk has no room for. ``folder``: where it would be written; it exists."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        hint = "free some space, or name a work folder on another disk: --work FOLDER"
        raise EdgeRobertaError(
            f"{what} need {amount(needed)}, and {amount(free)} are free here",
            where=str(folder),
            hint=f"{hint}; {otherwise}" if otherwise else hint,
        )


def amount(size: int) -> str:
    """Return bytes as people say them, in MB or GB (10^6 and 10^9 bytes)."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
