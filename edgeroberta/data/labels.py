"""Cells of a label column, turned into the ids, sets or values that training and metrics take."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.data import cells, label_encoding
from edgeroberta.data.columns import quoted
from edgeroberta.data.label_encoding import LabelColumn
from edgeroberta.data.label_format import Format, LabelFormat
from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError, UsageError, shown
from edgeroberta.tasks import Problem, Task

_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class EncodedLabels:
    """A label column as numbers."""

    labels: npt.NDArray[Any]  # int64[n] ids, float32[n, L] zeros and ones, or float32[n] values, by problem
    reading: LabelFormat  # how the cells were read
    said: str = ""  # a sentence for people, where the cells are not the labels' names; empty otherwise


def infer(table: DataTable, column: str, asked: Format | None = None) -> tuple[Problem, tuple[str, ...]]:
    """Tell the problem and its labels from the cells alone.

    Lists, or ``a|b``, mean several labels per text; numbers of which one has a fraction a regression;
    everything else one label per text. Names are sorted, whole numbers by value; lists of one 0 or 1 per
    label carry no names and get those of transformers, ``LABEL_0`` …. Returns the problem and the label
    names; a regression's only name is ``score``.
    """
    stored = table.label_names.get(column)
    if asked is None and stored == ():
        asked = Format.VALUES
    if asked is not Format.VALUES and (asked is Format.MULTI_HOT or cells.hold_lists(table, column)):
        rows = cells.several(table, column)
        if asked is None and not stored:
            asked = _multi_hot_or_ids(table, column, rows)
        if asked is Format.MULTI_HOT:
            return Problem.MULTI_LABEL, stored or tuple(f"LABEL_{i}" for i in range(max(map(len, rows))))
        return Problem.MULTI_LABEL, stored or cells.distinct(label for row in rows for label in row)
    if asked is Format.VALUES:
        return Problem.REGRESSION, ("score",)
    if stored:
        return Problem.SINGLE_LABEL, stored
    distinct = {cell for cell in map(cells.text, table.columns[column]) if cell}
    if asked is None and all(map(cells.NUMBER.fullmatch, distinct)):
        cells.single(table, column, None)
        finite = {text for text in distinct if text.casefold() != "nan"}
        if not all(map(cells.WHOLE.fullmatch, finite)):
            return Problem.REGRESSION, ("score",)
        cells.single(table, column)  # of whole numbers, unlike values, NaN is missing
        if any("." in text for text in finite):
            raise _classes_or_values(table, column, distinct)
    return Problem.SINGLE_LABEL, cells.distinct(cells.single(table, column))


def encode(
    table: DataTable, column: str, task: Task, *, asked: Format | None = None, kept: LabelFormat | None = None
) -> EncodedLabels:
    """Turn the cells of a label column into what the task needs.

    A column is read in one way throughout. Where the format of the file says which names its ids stand for,
    that decides; else what the user asks for, else what was kept from the training rows, else the one reading
    that fits every cell. Another than the kept one is taken only where no cell can be both a name and an id.
    ``task``: the task whose labels the cells must be.
    """
    if (asked is Format.VALUES) != (task.problem is Problem.REGRESSION) and asked is not None:
        what = "gives one number per text" if task.problem is Problem.REGRESSION else "tells labels"
        raise UsageError(f"{asked} are asked for, but the model {what}", where="--label-format")
    if task.problem is Problem.REGRESSION:
        return EncodedLabels(values(table, column), LabelFormat(Format.VALUES))
    names = table.label_names.get(column) or (kept.names if kept else None)
    source = LabelColumn(table, column, task, names, later=kept is not None)
    found: dict[Format, npt.NDArray[Any]] = {}
    errors: dict[Format, DataError] = {}
    for each in (asked,) if asked else source.formats():
        try:
            found[each] = label_encoding.read(source, each)
        except DataError as error:
            errors[each] = error
    chosen = _choose(source, found, errors, None if asked else kept)
    reading = LabelFormat(chosen, source.names)
    return EncodedLabels(found[chosen], reading, label_encoding.describe(source, chosen))


def describe(encoded: Any, task: Task) -> str:
    """Name one row's encoded label, for people."""
    if task.problem is Problem.SINGLE_LABEL:
        return repr(task.labels[int(encoded)])
    if task.problem is Problem.REGRESSION:
        return f"{float(encoded):g}"
    return quoted(label for label, is_set in zip(task.labels, encoded, strict=True) if is_set) or "none"


def all_unknown(column: Iterable[Any]) -> bool:
    """Tell whether a column says "no label" throughout: null, or -1 as in the test sets of GLUE."""
    return all(cell in (None, -1, "-1") for cell in column)


def _choose(
    source: LabelColumn,
    found: dict[Format, npt.NDArray[Any]],
    errors: dict[Format, DataError],
    kept: LabelFormat | None,
) -> Format:
    """Choose among the readings that fit every cell."""
    if not found:
        raise errors.get(source.likely(), next(iter(errors.values())))
    if kept is not None and kept.format in found:
        return kept.format
    if kept is not None and kept.format in errors and source.overlap():
        error = errors[kept.format]
        hint = f"the training rows give labels as {kept.format}, and so must this file"
        raise DataError(error.what, where=error.where, hint=hint)
    first = next(iter(found))
    for other, labels in found.items():
        differing = np.flatnonzero((labels != found[first]).reshape(len(labels), -1).any(axis=1))
        if len(differing):
            raise _ask(source, first, found[first], other, labels, int(differing[0]))
    return first


def _ask(
    source: LabelColumn,
    first: Format,
    ours: npt.NDArray[Any],
    second: Format,
    theirs: npt.NDArray[Any],
    row: int,
) -> UsageError:
    cell = shown(source.table.columns[source.name][row])
    readings = (
        f"as {each} it is {describe(labels[row], source.task)}"
        for each, labels in ((first, ours), (second, theirs))
    )
    return UsageError(
        f"{cell} in column {source.name!r} can be read in two ways: {', '.join(readings)}",
        where=source.table.where(row),
        hint=f"say which is right: --label-format {first}, or --label-format {second}",
    )


def _multi_hot_or_ids(table: DataTable, column: str, rows: list[list[str]]) -> Format | None:
    """Tell lists of one 0 or 1 per label from lists of labels, where no model says how many there are."""
    parts = {part for row in rows for part in row}
    if len({len(row) for row in rows}) != 1 or any(cells.bit(part) is None for part in parts):
        return None
    if cells.are_booleans(parts) or any(len({*map(cells.key, row)}) < len(row) for row in rows):
        return Format.MULTI_HOT
    raise UsageError(
        f"{shown(table.columns[column][0])} in column {column!r} can be read in two ways: "
        f"as one 0 or 1 for each of {len(rows[0])} labels, or as the names of labels",
        where=table.where(0),
        hint="say which is right: --label-format multi-hot, or --label-format names",
    )


def _classes_or_values(table: DataTable, column: str, distinct: set[str]) -> UsageError:
    return UsageError(
        f"the whole numbers with a point in column {column!r} ({quoted(sorted(distinct)[:3])}) can be read "
        f"in two ways: as values of a regression, or as the names of {len(distinct)} labels",
        where=table.source,
        hint="say which is right: --label-format values, or --label-format names",
    )


def values(table: DataTable, column: str) -> npt.NDArray[np.float32]:
    """Read a column of numbers, float32[n]. Raises DataError: a cell is missing, or no finite number."""
    found = np.empty(len(table), dtype=np.float32)
    for row, text in enumerate(cells.single(table, column, None)):
        if not cells.NUMBER.fullmatch(text):
            raise DataError(f"{shown(text)} in column {column!r} is not a number", where=table.where(row))
        value = float(text)
        if not math.isfinite(value) or abs(value) > _FLOAT32_MAX:
            raise DataError(
                f"{shown(text)} in column {column!r} is not a finite number", where=table.where(row)
            )
        found[row] = value
    return found
