"""Which columns of a table hold the text, the second text and the label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from edgeroberta.data import cells
from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError, did_you_mean, shown

#: Names looked for when the user gives none, first match first; pairs go before single texts, so
#: that a second sentence is never left out unnoticed.
PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "context"),
    ("text", "text_pair"),
)
TEXTS = ("text", "sentence", "review", "content", "sentence1", "premise", "question", "comment", "title")
LABELS = ("label", "labels", "score", "class", "category", "intent", "sentiment", "stars", "target")

_NUMBER = re.compile(r"#([1-9][0-9]*)")
_SHOWN = 12


@dataclass(frozen=True)
class ColumnNames:
    """Names of the columns in use; None where there is none."""

    text: str
    pair: str | None  # column of the second text
    label: str | None  # column of the label; several names with commas where each label has one
    #: the columns of zeros and ones, one per label; none where one column holds the label
    one_hot: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = {"text": self.text, "second text": self.pair, "label": self.label}
        return ", ".join(f"{what} {name!r}" for what, name in named.items() if name is not None)


def numbers(names: Sequence[str | None]) -> tuple[int, ...]:
    """Return the column numbers in ``names`` (``#6`` is 6), or nothing when they are names."""
    given = [each for name in names if name is not None for each in _numbered(name)]
    for name in given:
        if given.count(name) > 1:
            raise DataError(
                f"the column {name!r} is taken for two things", where="--text, --text-pair, --label"
            )
    found = [match for name in given if (match := _NUMBER.fullmatch(name))]
    if found and len(found) != len(given):
        raise DataError(
            "columns are given by name and by number; a file has a header or has none",
            where="--text, --text-pair, --label",
            hint="give all by number, e.g. --text '#1' --label '#2'",
        )
    return tuple(int(match[1]) for match in found)


def choose(
    table: DataTable, text: str | None, pair: str | None, label: str | None, *, labelled: bool
) -> ColumnNames:
    """Choose the columns of a table: those the user named, else those with a usual name."""
    if table.plain:
        if labelled:
            raise DataError(
                "a .txt file has no labels",
                where=table.source,
                hint="give a CSV, TSV or JSONL file; if it is columns of words and tags: --label-format tags;"
                " to learn the words of texts: --task fill-mask",
            )
        return ColumnNames("text", None, None)
    if table.tagged and not labelled:
        return ColumnNames("text", None, None)
    one_hot = each_label(table, label) if labelled and label is not None else ()
    wanted = [(text, "--text"), (pair, "--text-pair")]
    wanted += [(name, "--label") for name in (one_hot or (label,)) if labelled]
    for name, option in wanted:
        if name is not None and name not in table.columns:
            raise no_column(table, name, option)
    if text is None and pair is None:
        text, pair = next((both for both in PAIRS if set(both) <= set(table.columns)), (None, None))
    if text is None:
        text = _usual(table, TEXTS, "text", "--text")
    if not labelled:
        return ColumnNames(text, pair, None)
    if label is None:
        label = _usual(table, LABELS, "label", "--label")
    for name in one_hot or (label,):
        if name in (text, pair):
            raise DataError(f"the column {name!r} is taken for both text and label", where=table.source)
    return ColumnNames(text, pair, label, one_hot)


def each_label(table: DataTable, label: str) -> tuple[str, ...]:
    """Split ``toxic,obscene,threat``, one column of zeros and ones for each label; none for one column."""
    names = tuple(name.strip() for name in label.split(","))
    return names if len(names) > 1 and label not in table.columns else ()


def joined(table: DataTable, chosen: ColumnNames) -> DataTable:
    """Make one column of lists, ``label``, out of one column per label."""
    for name in chosen.one_hot:
        for row, cell in enumerate(table.columns[name]):
            if cells.bit(cells.text(cell)) is None:
                what = f"{shown(cell)} in column {name!r} is not 0 or 1"
                raise DataError(what, where=table.where(row), hint=_bits_hint(table, chosen, row))
    rows = [list(row) for row in zip(*(table.columns[name] for name in chosen.one_hot), strict=True)]
    label = str(chosen.label)
    names = {**table.label_names, label: chosen.one_hot}
    return replace(table, columns={**table.columns, label: rows}, label_names=names)


def _numbered(name: str) -> list[str]:
    """Split ``#3,#4``; leave what is no list of numbers as it is."""
    parts = [part.strip() for part in name.split(",")]
    return parts if all(map(_NUMBER.fullmatch, parts)) else [name]


def _usual(table: DataTable, usual: Sequence[str], what: str, option: str) -> str:
    for name in usual:
        if name in table.columns:
            return name
    hint = f"name it: {option} COLUMN; in a file without a header by number: {option} '#1'"
    if what == "label" and len(bits := _columns_of_bits(table)) > 1:
        hint = f"one column of zeros and ones per label? {option} {','.join(bits)}"
    raise DataError(f"no {what} column found among {quoted(table.columns)}", where=table.source, hint=hint)


def _bits_hint(table: DataTable, chosen: ColumnNames, row: int) -> str:
    """Say what to do about a row that is not all zeros and ones; -1 may be a label's zero."""
    hint = "one column per label holds 0 or 1 throughout"
    given = {name: [cells.key(cells.text(cell)) for cell in table.columns[name]] for name in chosen.one_hot}
    found = {each for column in given.values() for each in column}
    if found == {"-1", "1"}:
        return f"{hint}: write 0 for -1"
    missing = all(column[row].casefold() in ("", "nan", "-1") for column in given.values())
    return f"{hint}; delete rows without labels" if missing else hint


def _columns_of_bits(table: DataTable) -> list[str]:
    """Return the columns whose first cells are all 0 or 1."""
    return [
        name
        for name, column in table.columns.items()
        if name and column and all(cells.bit(cells.text(cell)) is not None for cell in column[:1000])
    ]


def no_column(table: DataTable, name: str, option: str) -> DataError:
    """Make the error for a column that is named and is not there."""
    by_case = {column.casefold(): column for column in table.columns}
    near = by_case.get(name.strip().casefold())
    hint = f"did you mean {near!r}?" if near else did_you_mean(name, table.columns)
    what = f"no column {name!r}; the columns are {quoted(table.columns)}"
    return DataError(what, where=table.source, hint=hint or f"name one of them: {option} COLUMN")


def quoted(names: Iterable[str]) -> str:
    """List names for an error, the first dozen of them."""
    quoted = [repr(name) for name in names]
    more = ["…"] if len(quoted) > _SHOWN else []
    return ", ".join(quoted[:_SHOWN] + more)
