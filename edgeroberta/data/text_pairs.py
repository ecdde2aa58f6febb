"""Pairs of texts that are read one by one: with a score of how alike they are, or a query and its passage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.data import columns, labels, texts
from edgeroberta.data.label_format import Format, LabelFormat
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import DataError, UsageError

#: Names looked for when the user gives none, first match first: those of any pairs, then those of sets that
#: embeddings are trained on.
PAIRS = (
    *columns.PAIRS,
    ("anchor", "positive"),
    ("query", "passage"),
    ("query", "positive"),
    ("query", "document"),
    ("query", "answer"),
    ("question", "answer"),
    ("question", "passage"),
    ("question", "context"),
    ("text1", "text2"),
    ("sentence_A", "sentence_B"),
)
SCORES = ("score", "similarity_score", "similarity", "relatedness_score", "label")
#: Columns of texts that a query's passage is not: other rows' passages stand for them.
_UNUSED = ("negative", "negatives", "hard_negative")
_TWO = "a pair of texts a row: --text COLUMN --text-pair COLUMN"


@dataclass(frozen=True)
class PairColumns:
    """Names of the columns in use."""

    first: str
    second: str
    score: str | None  # None where rows are queries and passages

    def __str__(self) -> str:
        if self.score is None:
            return f"query {self.first!r}, passage {self.second!r}, no scores"
        return f"text {self.first!r}, second text {self.second!r}, score {self.score!r}"


def choose(table: DataTable, spec: DataSpec) -> PairColumns:
    """Choose the columns of a table: those the user named, else those with a usual name.

    Raises DataError: there are no two columns of texts, or the table is none of pairs.
    """
    if table.plain or table.tagged:
        what = "single texts" if table.plain else "columns of words and tags"
        raise DataError(
            f"{what}, where embeddings are trained and judged by pairs",
            where=table.source,
            hint="give a CSV, TSV or JSONL file with two columns of texts; texts alone: --unlabelled",
            code="data.pairs-missing",
        )
    named = ((spec.text, "--text"), (spec.text_pair, "--text-pair"), (spec.label, "--label"))
    for name, option in named:
        if name is not None and name not in table.columns:
            raise columns.no_column(table, name, option)
    first, second = spec.text, spec.text_pair
    if first is None and second is None:
        first, second = next((both for both in PAIRS if set(both) <= set(table.columns)), (None, None))
    if first is None or second is None:
        raise _single(table, first, second)
    score = spec.label
    if score is None:
        score = next((name for name in SCORES if name in table.columns), None)
    if len({first, second, score}) < 3:
        twice = first if first in (second, score) else second
        raise DataError(
            f"the column {twice!r} is taken for two things", where=table.source, hint=f"name {_TWO}"
        )
    return PairColumns(first, second, score)


def _single(table: DataTable, first: str | None, second: str | None) -> DataError:
    known = first or second
    what = "one column of texts" if known else "no two columns of texts"
    found = f" ({known!r})" if known else f" found among {columns.quoted(table.columns)}"
    return DataError(
        f"{what}{found}, where embeddings are trained and judged by pairs",
        where=table.source,
        hint=f"name {_TWO}; texts alone: --unlabelled",
        code="data.pairs-missing",
    )


def read(table: DataTable, spec: DataSpec) -> tuple[Rows, LabelFormat, tuple[str, ...]]:
    """Check a table's cells and make them rows.

    Returns the rows, how their scores were read, and what is to be said. Raises DataError: a text is missing
    or a score is no number, all scores are equal, or all rows have the same passage; UsageError: another
    format than numbers is asked for.
    """
    if spec.asked not in (None, Format.VALUES):
        raise UsageError(
            f"{spec.asked} are asked for, but pairs of texts have scores",
            where="--label-format",
            hint="leave it out",
        )
    chosen = choose(table, spec)
    firsts, seconds = texts.checked(table, chosen.first), texts.checked(table, chosen.second)
    known = _numbers(firsts, seconds, table) if chosen.score is None else _scores(table, chosen.score)
    rows = Rows(firsts, seconds, known, table.source, apart=True)
    return rows, LabelFormat(Format.VALUES), _said(table, chosen)


def _said(table: DataTable, chosen: PairColumns) -> tuple[str, ...]:
    if chosen.score is not None:
        return ()
    return tuple(
        f"{table.source}: column {name!r} is not used: the passages of other rows are what a query is"
        " told apart from"
        for name in _UNUSED
        if name in table.columns
    )


def _scores(table: DataTable, column: str) -> npt.NDArray[np.float32]:
    scores = labels.values(table, column)
    if (scores == scores[0]).all():
        raise DataError(
            f"every pair has the same score, {float(scores[0]):g}",
            where=table.source,
            hint="scores tell which pairs are more alike than others; of pairs that all belong together"
            " (queries and passages), leave the column out",
            code="data.scores-equal",
        )
    return scores


def _numbers(firsts: Sequence[str], seconds: Sequence[str], table: DataTable) -> npt.NDArray[np.int64]:
    """Number the different queries and passages, int64[n, 2]."""
    found = np.stack([texts.numbered(column) for column in (firsts, seconds)], axis=1)
    if (found[:, 1] == 0).all():
        raise DataError(
            "every row has the same passage, so there is nothing to search",
            where=table.source,
            hint="are there scores? name their column: --label COLUMN",
            code="data.scores-equal",
        )
    return found


def same_kind(train: Rows, rows: Rows) -> Rows:
    """Refuse pairs with scores beside queries and passages, which are measured otherwise."""
    kinds: dict[str, Any] = {"f": "pairs with scores", "i": "queries and passages without scores"}
    ours, theirs = (kinds[each.labels.dtype.kind] for each in (train, rows))
    if ours == theirs:
        return rows
    raise DataError(
        f"{theirs}, but the training rows of {train.source} are {ours}",
        where=rows.source,
        hint="name the columns, the same in every file: --text COLUMN --text-pair COLUMN, and --label COLUMN"
        " for scores",
        code="data.pairs-differ",
    )
