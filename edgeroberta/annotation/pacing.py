"""How many rows are answered together: few at first, so that answers soon show, then as many as pay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Row = TypeVar("Row")

#: Rows of the first block, and of the largest: among 4,096 texts most lengths occur often enough to fill
#: batches with texts of one length alone.
FIRST, MOST = 64, 4096
#: Characters after which a block ends all the same: 4,096 texts of 250 characters, and of long ones fewer, so
#: that memory does not depend on the texts.
CHARACTERS = 1 << 20


class Pace:
    """The sizes of blocks, one after the other: each has twice the rows of the one before."""

    def __init__(self) -> None:
        self.most = MOST
        self._next = min(FIRST, MOST)

    def size(self) -> int:
        """Return the rows of the next block, at most."""
        size = self._next
        self._next = min(2 * size, self.most)
        return size

    def parts(self, rows: Iterable[tuple[int, Row]]) -> Iterator[list[Row]]:
        """Gather rows, each with its number of characters, into blocks."""
        part: list[Row] = []
        size, characters = self.size(), 0
        for count, row in rows:
            part.append(row)
            characters += count
            if len(part) >= size or characters >= CHARACTERS:
                yield part
                part, size, characters = [], self.size(), 0
        if part:
            yield part
