"""Text columns: what is refused in them, and when two rows have the same text."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import Rows, is_searched
from edgeroberta.errors import DataError
from edgeroberta.tasks.outputs import AnswerSpans


def checked(table: DataTable, column: str, rest: Iterable[DataTable] = ()) -> tuple[str, ...]:
    """Return a text column; refuse what is empty, not text, or not encodable.

    ``column``: name of the column; cells that are not there are empty. ``rest``: the tables after this one,
    where a file is read part by part: they are looked into when this one has an empty text, to count all of
    them.
    """
    cells = table.columns.get(column) or [None] * len(table)
    empty = _empty(cells)
    if empty:
        total = len(empty) + sum(len(_empty(more.columns.get(column) or [None] * len(more))) for more in rest)
        count = f" (the first of {total} rows)" if total > 1 else ""
        what = f"empty text in column {column!r}{count}"
        raise DataError(what, where=table.where(empty[0]), hint="fill it in, or delete the row")
    for row, cell in enumerate(cells):
        _check(cell, table, row, column)
    return tuple(cells)


def present(table: DataTable, column: str) -> list[str]:
    """Return the texts of a column that are not empty; refuse what is not text, or not encodable."""
    cells = table.columns.get(column) or []
    for row, cell in enumerate(cells):
        if cell is not None:
            _check(cell, table, row, column)
    return [cell for cell in cells if cell and not cell.isspace()]


def _check(cell: object, table: DataTable, row: int, column: str) -> None:
    """Refuse a cell that is not text, or not encodable."""
    if not isinstance(cell, str):
        what = f"column {column!r} holds {type(cell).__name__}, not text"
        hint = "name the text column: --text COLUMN"
        if isinstance(cell, bytes):
            hint = f"make it a column of strings; or {hint}"
        raise DataError(what, where=table.where(row), hint=hint)
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f"half of a surrogate pair in column {column!r}, at character {error.start}"
        hint = "write the file with a tool that knows UTF-8"
        raise DataError(what, where=table.where(row), hint=hint) from error


def _empty(cells: list[object]) -> list[int]:
    """Return the numbers of the cells that hold nothing or white space."""
    return [
        row for row, cell in enumerate(cells) if cell is None or (isinstance(cell, str) and not cell.strip())
    ]


def keys(rows: Rows) -> list[str]:
    """Return what makes two rows copies of one text: their characters, whatever the white space and case."""
    seconds = rows.pairs or ("",) * len(rows)
    return [f"{key(first)}\0{key(second)}" for first, second in zip(rows.texts, seconds, strict=True)]


def contexts(rows: Rows) -> list[tuple[str, ...]]:
    """Return what makes two rows copies of one context, whatever is asked of it."""
    return [(key(each),) for each in rows.pairs or rows.texts]


def each_key(rows: Rows) -> list[tuple[str, ...]]:
    """Return what must not be in two parts of a data set, of each row.

    That is the text, or the pair where it is read as one. Of two texts with a score it is each of them, and
    of a query and its passage the query: what is searched may be the same for all queries. Of a question it
    is the context.
    """
    if isinstance(rows.labels, AnswerSpans):
        return contexts(rows)
    if not rows.apart:
        return [(key,) for key in keys(rows)]
    firsts = [key(text) for text in rows.texts]
    if rows.pairs is None or is_searched(rows.labels):
        return [(key,) for key in firsts]
    return [(first, key(second)) for first, second in zip(firsts, rows.pairs, strict=True)]


def numbered(column: Iterable[str]) -> npt.NDArray[np.int64]:
    """Number different texts by their first occurrence, int64[n]; white space and case aside."""
    return _numbers(map(key, column))


def groups(rows: Rows) -> npt.NDArray[np.int64]:
    """Number the distinct texts of rows, int64[n] by first occurrence; resampling draws whole groups."""
    return _numbers(keys(rows))


def connected(rows: Rows) -> npt.NDArray[np.int64]:
    """Number the groups of pairs that have no text in common, int64[n] by first occurrence."""
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while (above := parents.setdefault(key, key)) != key:
            parents[key] = parents[above]
            key = above
        return key

    firsts = [key(text) for text in rows.texts]
    for first, second in zip(firsts, rows.pairs or (), strict=True):
        parents[root(first)] = root(key(second))
    return _numbers(map(root, firsts))


def _numbers(keys: Iterable[str]) -> npt.NDArray[np.int64]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def key(text: str) -> str:
    """Return what makes a text a copy of another: its characters, whatever the white space and case."""
    return "".join(text.casefold().split())
