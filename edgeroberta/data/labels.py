"""Cells of a label column, turned into the ids, sets or values that training and metrics take."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.data.columns import quoted
from edgeroberta.data.readers import Table
from edgeroberta.errors import DataError, did_you_mean
from edgeroberta.tasks import Problem, Task

logger = logging.getLogger(__name__)

SEPARATOR = "|"  #: between the labels of one text, where a cell holds several
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?\d+")
_ID = re.compile(r"(\d+)(\.0*)?")
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def infer(table: Table, column: str) -> tuple[Problem, tuple[str, ...]]:
    """Tell the problem and its labels from the cells alone.

    Lists, or ``a|b``, mean several labels per text; numbers of which one is written with a point
    (3.0) a regression; everything else one label per text. Names are sorted, whole numbers by value.

    Args:
        table: The table.
        column: Its label column.

    Returns:
        The problem and the label names; a regression's only name is ``score``.

    Raises:
        DataError: A cell is empty.
    """
    stored = table.label_names.get(column)
    cells = table.columns[column]
    if any(isinstance(cell, list | tuple) or (isinstance(cell, str) and SEPARATOR in cell) for cell in cells):
        found = {label for row in range(len(cells)) for label in _several(table, column, row)}
        return Problem.MULTI_LABEL, stored or _sorted(found)
    texts = _texts(table, column)
    if stored:
        return Problem.SINGLE_LABEL, stored
    distinct = set(texts)
    if all(_NUMBER.fullmatch(text) for text in distinct) and not all(map(_WHOLE.fullmatch, distinct)):
        return Problem.REGRESSION, ("score",)
    return Problem.SINGLE_LABEL, _sorted(distinct)


def encode(table: Table, column: str, task: Task) -> npt.NDArray[Any]:
    """Turn the cells of a label column into what the task needs.

    A column gives its labels by name or by id, one way throughout; names count first.

    Args:
        table: The table.
        column: Its label column.
        task: The task whose labels the cells must be.

    Returns:
        int64[n] ids, float32[n, L] zeros and ones, or float32[n] values, by problem.

    Raises:
        DataError: A cell is empty, not a number where one is needed, or not a label of the task.
    """
    if task.problem is Problem.REGRESSION:
        return _values(table, column)
    rows = range(len(table))
    if task.problem is Problem.MULTI_LABEL:
        several = [_several(table, column, row) for row in rows]
        ids = _ids(table, column, task.labels, [(row, text) for row in rows for text in several[row]])
        hot = np.zeros((len(table), task.num_outputs), dtype=np.float32)
        hot[[row for row in rows for _ in several[row]], ids] = 1
        return hot
    return _ids(table, column, task.labels, list(enumerate(_texts(table, column))))


def describe(encoded: Any, task: Task) -> str:
    """Name one row's encoded label, for people."""
    if task.problem is Problem.SINGLE_LABEL:
        return repr(task.labels[int(encoded)])
    if task.problem is Problem.REGRESSION:
        return f"{float(encoded):g}"
    return quoted(label for label, is_set in zip(task.labels, encoded, strict=True) if is_set) or "none"


def all_unknown(cells: Iterable[Any]) -> bool:
    """Tell whether a column says "no label" throughout: null, or -1 as in the test sets of GLUE."""
    return all(cell in (None, -1, "-1") for cell in cells)


def _sorted(labels: Iterable[str]) -> tuple[str, ...]:
    distinct = set(labels)
    if all(map(_WHOLE.fullmatch, distinct)):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def _texts(table: Table, column: str) -> list[str]:
    """Return the cells as text; refuse empty ones and lists."""
    cells = table.columns[column]
    texts = [_text(cell) for cell in cells]
    empty = [row for row, text in enumerate(texts) if not text.strip()]
    if empty:
        count = f" (the first of {len(empty)} rows)" if len(empty) > 1 else ""
        raise DataError(
            f"empty label in column {column!r}{count}",
            where=table.where(empty[0]),
            hint="fill it in, or delete the row",
        )
    for row, cell in enumerate(cells):
        if isinstance(cell, list | tuple | dict):
            raise DataError(
                f"{cell!r} in column {column!r}, but the model gives one label per text",
                where=table.where(row),
            )
    return texts


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(cell)


def _several(table: Table, column: str, row: int) -> list[str]:
    """Return the labels of one row; an empty cell or list has none."""
    cell = table.columns[column][row]
    if isinstance(cell, list | tuple):
        return [_text(part) for part in cell]
    return [part.strip() for part in _text(cell).split(SEPARATOR) if part.strip()]


def _ids(
    table: Table, column: str, labels: Sequence[str], cells: Sequence[tuple[int, str]]
) -> npt.NDArray[np.int64]:
    """Look up label texts, given as (row, text), as names or as ids."""
    by_name = {label: i for i, label in enumerate(labels)}
    distinct = {text for _, text in cells}
    stored = table.label_names.get(column)
    named = bool(distinct & by_name.keys())
    if stored and all(map(_ID.fullmatch, distinct)):
        by_name, named = _stored_ids(table, column, stored, labels), True
    elif not distinct <= by_name.keys():
        by_id = {text: int(match[1]) for text in distinct if (match := _ID.fullmatch(text))}
        by_id = {text: i for text, i in by_id.items() if i < len(labels)}
        if not named or distinct <= by_id.keys():
            by_name = by_id
    for row, text in cells:
        if text not in by_name:
            raise _unknown(table.where(row), text, labels)
    return np.array([by_name[text] for _, text in cells], dtype=np.int64)


def _stored_ids(table: Table, column: str, stored: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    """Map a data set's own ids to the model's: by name where the names agree, else by position.

    The two orders do differ: MNLI's data has entailment first, roberta-large-mnli has it last.
    """
    ours = {label.casefold(): i for i, label in enumerate(labels)}
    if {name.casefold() for name in stored} == ours.keys() and len(stored) == len(labels):
        return {str(i): ours[name.casefold()] for i, name in enumerate(stored)}
    if len(stored) != len(labels):
        what = f"column {column!r} holds {quoted(stored)}; the model's labels are {quoted(labels)}"
        raise DataError(what, where=table.source)
    logger.warning("%s: %s taken for %s, in this order", table.source, quoted(stored), quoted(labels))
    return {str(i): i for i in range(len(stored))}


def _unknown(where: str, text: str, labels: Sequence[str]) -> DataError:
    near = {label.casefold(): label for label in labels}.get(text.strip().casefold())
    hint = f"did you mean {near!r}?" if near else did_you_mean(text, labels)
    what = f"unknown label {text!r}; the labels are {quoted(labels)}"
    return DataError(what, where=where, hint=hint or "name the label column: --label COLUMN")


def _values(table: Table, column: str) -> npt.NDArray[np.float32]:
    values = np.empty(len(table), dtype=np.float32)
    for row, text in enumerate(_texts(table, column)):
        if not _NUMBER.fullmatch(text.strip()):
            raise DataError(f"{text!r} in column {column!r} is not a number", where=table.where(row))
        value = float(text)
        if not math.isfinite(value) or abs(value) > _FLOAT32_MAX:
            raise DataError(f"{text!r} in column {column!r} is not a finite number", where=table.where(row))
        values[row] = value
    return values
