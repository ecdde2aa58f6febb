"""What a row asks: which of its columns hold the text, or the pair, as the model takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeroberta.annotation.blocks import Asked
from edgeroberta.annotation.formats import Format
from edgeroberta.data import columns
from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError
from edgeroberta.tasks import Problem, Task

#: What the columns of lines without a header are called, of a text, a pair, and a question.
LINES = {False: ("text",), True: ("text", "text_pair")}
QUESTION = ("question", "context")


@dataclass(frozen=True)
class Wanted:
    """How a source is to be read; None where its name or its columns say so."""

    format: Format | None = None
    text: str | None = None  # column of the text
    text_pair: str | None = None  # column of the second text
    pair: bool = False  # whether a line without columns is two texts, of a model that takes both


@dataclass(frozen=True)
class Reading:
    """Which columns are read."""

    text: str
    pair: str | None  # column of the second text; None where a row is one text

    def __str__(self) -> str:
        return f"text {self.text!r}" + ("" if self.pair is None else f", second text {self.pair!r}")

    def of(self, first: Any, second: Any, where: str) -> Asked:
        """Return what a row with these cells asks, or the error that says what is wrong with them."""
        wrong = _wrong(first, self.text) or (self.pair and _wrong(second, self.pair))
        if wrong:
            return DataError(wrong, where=where, hint=SKIP, code="data.row")
        return first if self.pair is None else (first, second)


#: What to do about a row that cannot be answered.
SKIP = "correct it; with --output, --on-error skip leaves such rows out, and null leaves them unanswered"


def line_names(task: Task, *, pair: bool) -> tuple[str, ...]:
    """Name the columns of lines that have no header."""
    return QUESTION if task.problem is Problem.SPANS else LINES[pair or task.pair]


def choose(names: Sequence[str], task: Task, text: str | None, pair: str | None, *, source: str) -> Reading:
    """Choose the columns to read, by the names that all commands look for.

    Raises DataError: there is no such column, several could be meant, or the model takes another number of
    texts.
    """
    table = DataTable(source, {name: [] for name in names})
    chosen = columns.choose(table, text, pair, None, labelled=False)
    if chosen.pair is None and text is None:
        usual = [name for name in columns.TEXTS if name in names]
        if len(usual) > 1:
            raise DataError(
                f"the text may be in any of the columns {columns.quoted(usual)}",
                where=source,
                hint=f"name it: --text {usual[0]}",
                code="data.column-ambiguous",
            )
    if task.pair and chosen.pair is None:
        raise DataError(
            f"this model takes two texts, and only the column {chosen.text!r} was found among "
            f"{columns.quoted(names)}",
            where=source,
            hint="name both: --text COLUMN --text-pair COLUMN",
        )
    if chosen.pair is not None and not (task.pair or task.apart):
        raise DataError(
            f"this model takes single texts, and there are two: {chosen.text!r} and {chosen.pair!r}",
            where=source,
            hint=f"name one: --text {chosen.text}",
            code="data.column-ambiguous",
        )
    return Reading(chosen.text, chosen.pair)


def _wrong(cell: Any, column: str) -> str | None:
    """Say why a cell is no text, or None."""
    if isinstance(cell, str):
        if cell.strip():
            return None
        return f"empty text in column {column!r}"
    if cell is None:
        return f"no text in column {column!r}"
    return f"column {column!r} holds {type(cell).__name__}, not text"
