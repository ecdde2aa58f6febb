"""The rows of each slice: which rows have a value, a length, a label or one of some words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.data import slice_columns
from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError, UsageError
from edgeroberta.evaluation.slices import word_lists
from edgeroberta.evaluation.slices.asked import SlicesAsked
from edgeroberta.tasks import Task

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RowSlice:
    """Some of the rows, and what they have in common."""

    by: str  # what rows are told apart by: the name of a column, or length, label, words
    name: str  # what these have of it
    rows: Indices  # int64[k], their numbers, ascending


def find(asked: SlicesAsked, rows: Rows, task: Task) -> tuple[RowSlice, ...]:
    """Tell rows apart.

    ``rows``: with the columns that are asked for, see :class:`edgeroberta.data.rows.DataSpec`. Returns the
    slices in the order columns, length, label, words, by value; of labels also those that no row has. Raises
    DataError: rows cannot be told apart like that. UsageError: the task has no labels, or there are more than
    200 slices.
    """
    found = (
        *(each for name in asked.columns for each in _by_column(name, rows)),
        *(_by_length(asked.edges, rows) if asked.length else ()),
        *(_by_label(rows, task) if asked.label else ()),
        *(_by_words(asked, rows) if asked.words else ()),
    )
    if len(found) > slice_columns.MOST:
        raise UsageError(
            f"these are {len(found)} slices; at most {slice_columns.MOST} are told apart at once",
            where="--slices",
            hint="ask for fewer at a time",
            code="usage.slices",
        )
    return found


def _by_column(name: str, rows: Rows) -> Iterator[RowSlice]:
    values = rows.columns.get(name)
    if values is None:
        raise DataError(
            f"the rows were read without the column {name!r}, which slices are asked for by",
            where=rows.source,
            hint="name the data again: --data FILE",
            code="data.slices",
        )
    slice_columns.refuse_values(values, name, source=f"{rows.source}, the held-out rows")
    column = np.asarray(values, dtype=object)
    for value in sorted(set(values), key=_in_order):
        yield RowSlice(name, value, np.flatnonzero(column == value))


def _in_order(value: str) -> tuple[float, str]:
    """Sort numbers by their size, before all else."""
    try:
        number = float(value)
    except ValueError:
        number = math.inf
    return number if number == number else math.inf, value  # "nan" is neither smaller nor larger


def _texts(rows: Rows) -> list[str]:
    """Return all that is read of each row, as one text."""
    if rows.pairs is None:
        return list(rows.texts)
    return [f"{first}\n{second}" for first, second in zip(rows.texts, rows.pairs, strict=True)]


def _by_length(edges: tuple[int, ...], rows: Rows) -> Iterator[RowSlice]:
    lengths = np.array([len(first) for first in rows.texts], np.int64)
    if rows.pairs is not None:
        lengths += np.array([len(second) for second in rows.pairs], np.int64)
    longest = int(lengths.max())
    if not edges:
        quarters = np.unique(np.floor(np.quantile(lengths, (0.25, 0.5, 0.75))).astype(np.int64) + 1)
        edges = tuple(quarters[quarters <= longest].tolist())
        if not edges:
            raise _alike(rows, longest)
    places = np.digitize(lengths, edges)
    ends = [*(str(edge - 1) for edge in edges), ""]
    for number, (start, end) in enumerate(zip((1, *edges), ends, strict=True)):
        name = f"{start}+" if not end else f"{start}-{end}"
        here = np.flatnonzero(places == number)
        if not len(here):
            raise DataError(
                f"no row has {name} characters; they have {int(lengths.min()):,} to {longest:,}",
                where=rows.source,
                hint="name other lengths, or length alone for quarters of the rows",
                code="data.slices",
            )
        yield RowSlice("length", name, here)


def _alike(rows: Rows, length: int) -> DataError:
    return DataError(
        f"nearly all rows have the same {length:,} characters, so length does not tell them apart",
        where=rows.source,
        hint="name lengths: length=40,120",
        code="data.slices",
    )


def _by_label(rows: Rows, task: Task) -> Iterator[RowSlice]:
    require_labels(task)
    if rows.labels is None:
        raise DataError(
            "slices by label are asked for, and these rows have none",
            where=rows.source,
            hint="name the column of labels: --label COLUMN",
            code="data.slices",
        )
    labels, wanted = true_labels(task, task.truth(rows.labels))
    for place, label in enumerate(labels):
        yield RowSlice("label", label, np.flatnonzero(wanted[:, place] > 0))


def require_labels(task: Task) -> None:
    """Refuse slices by label for a task without labels."""
    if task.kind.recall(task) is None:
        raise UsageError(
            f"a task of {task.problem.value.replace('_', ' ')} has no labels to tell rows apart by",
            where="--slices label",
            hint="put ranges of values into a column of the data, and name that: column=NAME",
            code="usage.slices",
        )


def true_labels(task: Task, truth: Any) -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """Return the labels of a task that has some, and how often each row has each, float64[n, labels]."""
    recall = task.kind.recall(task)
    assert recall is not None
    names, count = recall
    return names, np.split(count(truth, truth), 2, axis=1)[1]


def _by_words(asked: SlicesAsked, rows: Rows) -> Iterator[RowSlice]:
    for name, found in word_lists.having(_texts(rows), asked.words).items():
        if not found:
            words = ", ".join(asked.words[name][:6]) + (", …" if len(asked.words[name]) > 6 else "")
            raise DataError(
                f"no row has a word of the list {name!r} ({words})",
                where=f"{rows.source}, the held-out rows",
                hint="leave the list out, or measure on rows that have some: nothing can be told of it here",
                code="data.word-lists",
            )
        yield RowSlice("words", name, np.array(found, np.int64))
