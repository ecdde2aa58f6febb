"""Columns by whose values rows are told apart, such as a dialect or a product, kept beside the texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgeroberta.data import cells, columns
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError, did_you_mean, shown

#: Most slices that rows are told apart into; each needs rows of its own, and nobody reads a longer table.
MOST = 200
_LATER = "leave it out of the slices"


def kept(rows: Rows, table: DataTable, names: Sequence[str]) -> Rows:
    """Return rows with the values of those columns that their table has, as texts."""
    found = {name: tuple(map(_text, table.columns[name])) for name in names if name in table.columns}
    return replace(rows, columns=found) if found else rows


def checked(table: DataTable, names: Sequence[str]) -> DataTable:
    """Return a table of rows to measure on; refuse one that cannot be told apart by these columns.

    Raises DataError: a column is not there, has lists, empty cells, one value, or about one value a row.
    """
    for name in names:
        if name not in table.columns or table.plain:
            raise _none(table, name)
        values = []
        for row, cell in enumerate(table.columns[name]):
            if isinstance(cell, list | tuple | dict):
                what = f"{shown(cell)} in column {name!r}, where slices need one value a row"
                raise DataError(what, where=table.where(row), hint=_LATER, code="data.slices")
            values.append(_text(cell))
        _refuse_empty(table, name, values)
        refuse_values(values, name, source=table.source)
    return table


def refuse_values(values: Sequence[str], name: str, *, source: str) -> None:
    """Refuse values of a column that make no slices: all the same, or nearly all different."""
    different = len(set(values))
    if different == 1:
        raise DataError(
            f"column {name!r} has the one value {values[0]!r} in all {len(values):,} rows, so there is"
            " nothing to tell apart",
            where=source,
            hint=f"{_LATER}, or measure on rows of other values, too",
            code="data.slices",
        )
    if different > MOST or 2 * different > len(values):
        raise DataError(
            f"column {name!r} has {different:,} different values in {len(values):,} rows, which makes no"
            f" slices; at most {MOST}, of two rows each on average, can be told apart",
            where=source,
            hint="name a column of groups; of numbers and names, make one of ranges or kinds first",
            code="data.slices",
        )


def _refuse_empty(table: DataTable, name: str, values: Sequence[str]) -> None:
    empty = [row for row, value in enumerate(values) if not value]
    if empty:
        count = f" (the first of {len(empty):,} rows)" if len(empty) > 1 else ""
        raise DataError(
            f"nothing in column {name!r}, by which rows are told apart{count}",
            where=table.where(empty[0]),
            hint="write a value, such as unknown: rows that are left out would be looked at by nobody",
            code="data.slices",
        )


def _none(table: DataTable, name: str) -> DataError:
    if table.plain or table.tagged:
        what = f"a {'.txt file' if table.plain else 'file of words and tags'} has no other columns"
        hint = "give CSV, JSONL or Parquet with that column; slices by length and by words need none"
        what = f"{what}, and slices are asked for by {name!r}"
        return DataError(what, where=table.source, hint=hint, code="data.slices")
    if name.startswith("#"):
        hint = "slices go by columns with a name: give the file a header"
    else:
        hint = did_you_mean(name, table.columns) or "name one of them: column=NAME"
    what = f"no column {name!r} to tell rows apart by; the columns are {columns.quoted(table.columns)}"
    return DataError(what, where=table.source, hint=hint, code="data.slices")


def _text(cell: Any) -> str:
    """Return a cell as text, nothing for numbers that are none."""
    return "" if isinstance(cell, float) and cell != cell else cells.text(cell)
