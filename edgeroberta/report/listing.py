"""Rows that are listed in a page and can be searched there, as many as a page has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edgeroberta.escaping import plain

#: Bytes that all rows may take; a page stays below 1 MB with them.
ROOM = 600_000
#: Lengths to which texts are cut, the longest first, until all rows have room.
_LENGTHS = (2000, 1000, 600, 400, 250, 160, 100)
#: Bytes of markup in a row, and in a cell.
_ROW, _CELL = 10, 4
#: Pairs of answers that can be chosen from.
_CHOICES = 200


@dataclass(frozen=True)
class Listing:
    """Rows of cells, and which of them can be chosen."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    pair: tuple[int, int]  # columns that make a pair, such as the answer before and after
    texts: bool  # whether the last column has texts, which need room
    choices: tuple[tuple[str, int], ...]  # such pairs, and how many rows have each; none where all differ
    cut: int | None = None  # characters that are left of long texts; None where all are whole
    left_out: int = 0  # rows for which there was no room


def listing(
    titles: Sequence[str], rows: Sequence[Sequence[str]], pair: tuple[int, int], *, texts: bool = False
) -> Listing:
    """Make a listing that fits into a page: long texts are cut, and if that is not enough, rows left out."""
    laid, most = [tuple(map(plain, row)) for row in rows], None
    for length in _LENGTHS:
        if sum(map(_size, laid)) <= ROOM:
            break
        laid, most = [tuple(_cut(cell, length) for cell in row) for row in laid], length
    kept, room = 0, ROOM
    while kept < len(laid) and (room := room - _size(laid[kept])) >= 0:
        kept += 1
    laid = laid[:kept]
    counted = Counter(f"{row[pair[0]]} → {row[pair[1]]}" for row in laid).most_common(_CHOICES)
    choices = counted if counted and counted[0][1] > 1 else []
    return Listing(tuple(titles), tuple(laid), pair, texts, tuple(choices), most, len(rows) - kept)


def _cut(cell: str, length: int) -> str:
    return cell if len(cell) <= length else cell[: length - 1] + "…"


def _size(row: Sequence[str]) -> int:
    return _ROW + sum(_CELL + len(escape(cell).encode()) for cell in row)
