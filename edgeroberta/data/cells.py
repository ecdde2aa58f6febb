"""Cells of a label column as texts, the same ones whatever kind of file they come from."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Collection, Iterable
from typing import Any

from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError, shown

SEPARATOR = "|"  #: between the labels of one text, where a cell holds several
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE)
#: A whole number, as 3, or 3.0 where pandas has made floats of a column.
WHOLE = re.compile(r"([-+]?\d{1,18})(\.0*)?")
BOOLEANS = ("false", "true")
_BITS = {"0": False, "1": True, "false": False, "true": True}
#: Longest list in a cell of text that is taken for one.
_LITERAL = 100_000


def single(table: DataTable, column: str, labels: Collection[str] | None = ()) -> list[str]:
    """Return one text per cell, none empty; what ``labels`` name is never missing."""
    cells = table.columns[column]
    texts = [text(cell) for cell in cells]
    missing = [row for row, each in enumerate(texts) if not each]
    if labels is not None and not missing:
        missing = [row for row, cell in enumerate(cells) if _is_nan(cell, labels)]
    if missing:
        raise _missing(table, column, missing)
    for row, cell in enumerate(cells):
        if isinstance(cell, list | tuple | dict):
            raise DataError(
                f"{shown(cell)} in column {column!r}, but the model gives one label per text",
                where=table.where(row),
                hint="write one label; if the model was made for several labels per text, its config.json "
                'lacks "problem_type": "multi_label_classification"',
            )
    return texts


def several(table: DataTable, column: str, labels: Collection[str] = ()) -> list[list[str]]:
    """Return the labels of each row, none for an empty cell; what ``labels`` name is no list."""
    cells = _parsed(table.columns[column], labels) or table.columns[column]
    found = []
    for row, cell in enumerate(cells):
        if isinstance(cell, list | tuple):
            found.append([text(part) for part in cell])
            bad = any(part is None or _is_nan(part, labels) for part in cell)
        else:
            whole = text(cell)
            parts = [whole] if whole in labels else whole.split(SEPARATOR)
            found.append([part.strip() for part in parts if part.strip()])
            bad = _is_nan(cell, labels)
        if bad:
            raise _missing(table, column, [row])
    return found


def hold_lists(table: DataTable, column: str, labels: Collection[str] = ()) -> bool:
    """Tell whether a column gives a list per text: a list, ``a|b``, or the text of a list throughout."""
    cells = table.columns[column]
    if any(isinstance(cell, list | tuple) for cell in cells) or _parsed(cells, labels) is not None:
        return True
    return any(isinstance(cell, str) and SEPARATOR in cell and cell.strip() not in labels for cell in cells)


def text(cell: Any) -> str:
    """Return a cell as text: nothing for null, ``true`` and ``false`` for booleans."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return BOOLEANS[cell]
    return str(cell).strip()


def key(label: str) -> str:
    """Return what two ways to write a label have in common: 1, 1.0 and +1 are the same number."""
    whole = WHOLE.fullmatch(label)
    return str(int(whole[1])) if whole else label


def bit(label: str) -> bool | None:
    """Read 0, 1, 0.0, 1.0, true or false; None for anything else."""
    return _BITS.get(key(label).casefold())


def are_booleans(labels: Iterable[str]) -> bool:
    """Tell whether all of the labels are the words true and false, in any case."""
    return all(label.casefold() in BOOLEANS for label in labels)


def distinct(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different ones among labels as they are written, sorted, whole numbers by value."""
    found = set(map(key, labels))
    if are_booleans(found):
        found = {label.casefold() for label in found}
    return tuple(sorted(found, key=int if all(map(WHOLE.fullmatch, found)) else None))


def marked(cell: str, labels: Collection[str]) -> list[str] | None:
    """Split several labels that another mark than the bar separates; None where these are none."""
    for mark in () if cell in labels else "|,;":
        listed = [each.strip(" []'\"") for each in cell.split(mark)]
        if len(listed) > 1 and all(each in labels for each in listed):
            return listed
    return None


def _is_nan(cell: Any, labels: Collection[str]) -> bool:
    """Tell NaN, which a text "nan" is, too, as pandas writes it, unless a label is called so."""
    if isinstance(cell, float):
        return not math.isfinite(cell)
    return isinstance(cell, str) and cell.strip().casefold() == "nan" and cell.strip() not in labels


def _missing(table: DataTable, column: str, rows: list[int]) -> DataError:
    count = f" (the first of {len(rows)} rows)" if len(rows) > 1 else ""
    cell = table.columns[column][rows[0]]
    what = "empty label" if not text(cell) else f"{shown(cell)} is no label,"
    return DataError(
        f"{what} in column {column!r}{count}",
        where=table.where(rows[0]),
        hint="fill it in, or delete the row",
    )


def _parsed(cells: list[Any], labels: Collection[str]) -> list[Any] | None:
    """Read the texts of lists, as pandas writes a column of lists to CSV; None where some cell is none."""
    parsed: list[Any] = []
    for cell in cells:
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            parsed.append(None)
            continue
        if not isinstance(cell, str) or not 2 <= len(cell) <= _LITERAL or cell in labels:
            return None
        found = _literal(cell.strip())
        if found is None:
            return None
        parsed.append(found)
    return parsed if any(cell is not None for cell in parsed) else None


def _literal(written: str) -> list[Any] | None:
    """Read a flat list written as JSON or as Python has it."""
    if not (written.startswith("[") and written.endswith("]")) or written.count("[") > 1:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return found if isinstance(found, list) else None
    return None
