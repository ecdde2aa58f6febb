"""Tables whose rows have a tag per word: how they are found, and what their cells are."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgeroberta.data import columns, word_files
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import DataError, shown
from edgeroberta.tasks import Word

#: Names looked for when the user gives none, first match first.
WORDS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "ner", "labels", "ner_labels", "bio_tags", "slots", "label")
SPANS = ("spans", "entities", "label", "labels")
#: Column of the place of each word in the text, ``[[0, 4], [5, 9]]``, beside a column of tags.
PLACES = "words"

_LISTS = 'e.g. {"tokens": ["in", "Rome"], "ner_tags": ["O", "B-LOC"]}'
_LINES = "a file with a word and its tag on each line is called .conll"


class Layout(Word):
    """How a row says what its words are."""

    WORDS = "words and tags"  #: a list of words and a list of tags
    SPANS = "text and spans"  #: a text and a list of spans
    PLACES = "text, places and tags"  #: a text, a list of places of words, and a list of tags


@dataclass(frozen=True)
class WordColumns:
    """The columns of such a table, and how they are read."""

    text: str
    tags: str
    layout: Layout

    def __str__(self) -> str:
        what = ("text", "spans") if self.layout is Layout.SPANS else ("words", "tags")
        return f"{what[0]} {self.text!r}, {what[1]} {self.tags!r}"


def find(table: DataTable, text: str | None, label: str | None) -> WordColumns | None:
    """Find the columns of words and tags, or of texts and spans; None where there are none.

    ``text``, ``label``: the columns that the user names.
    """
    if table.tagged:
        return WordColumns(word_files.WORDS, word_files.TAGS, Layout.WORDS)
    for name in (text,) if text is not None else (*WORDS, *columns.TEXTS):
        if name not in table.columns:
            continue
        words = _lists(table.columns[name], _is_text)
        if not words and text is None and name in WORDS:
            continue
        for tags in (label,) if label is not None else TAGS if words else (*SPANS, *TAGS):
            if tags in table.columns and tags != name and (layout := _layout(table, words, tags)):
                return WordColumns(name, tags, layout)
    return None


def _layout(table: DataTable, words: bool, tags: str) -> Layout | None:
    cells = table.columns[tags]
    if words:
        return Layout.WORDS if _lists(cells, _is_tag) else None
    if _lists(cells, _is_span, empty=tags in SPANS[:2]) or any(_is_struct(cell) for cell in cells):
        return Layout.SPANS
    if PLACES in table.columns and _lists(table.columns[PLACES], _is_place) and _lists(cells, _is_tag):
        return Layout.PLACES
    return None


def parsed(table: DataTable, chosen: WordColumns) -> DataTable:
    """Return the table with lists for the texts of lists, as pandas writes them to CSV."""
    changed = {
        name: [_literal(cell) if isinstance(cell, str) else cell for cell in table.columns[name]]
        for name in (chosen.tags, *((chosen.text,) if chosen.layout is Layout.WORDS else ()))
    }
    return replace(table, columns={**table.columns, **changed})


def _lists(cells: Sequence[Any], fits: Callable[[Any], bool], *, empty: bool = False) -> bool:
    """Tell whether a column holds lists, of which the first element that is there fits.

    ``empty``: what to say where all lists are empty.
    """
    found = False
    for cell in cells:
        listed = _literal(cell) if isinstance(cell, str) else cell
        if cell is None:
            continue
        if not isinstance(listed, list | tuple):
            return False
        found = True
        if listed:
            return fits(listed[0])
    return found and empty


def _literal(written: str) -> Any:
    """Read a list written as JSON or as Python has it; leave anything else as it is."""
    if not (written.lstrip().startswith("[") and written.rstrip().endswith("]")):
        return written
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list):
            return found
    return written


def _is_text(each: Any) -> bool:
    return isinstance(each, str)


def _is_tag(each: Any) -> bool:
    return each is None or isinstance(each, str | int | float)


def _is_span(each: Any) -> bool:
    return isinstance(each, dict) or (isinstance(each, list | tuple) and len(each) == 3)


def _is_struct(cell: Any) -> bool:
    """Tell a list of spans that the ``datasets`` library has turned into lists of their fields."""
    return isinstance(cell, dict) and all(isinstance(each, list) for each in cell.values()) and len(cell) > 1


def _is_place(each: Any) -> bool:
    return isinstance(each, list | tuple) and len(each) == 2


def listed(table: DataTable, column: str, row: int) -> list[Any]:
    """Return the list in a cell. Raises DataError: it holds none."""
    cell = table.columns[column][row]
    if isinstance(cell, tuple):
        return list(cell)
    if not isinstance(cell, list):
        what = "nothing" if cell is None else shown(cell)
        raise DataError(
            f"{what} in column {column!r}, where a list is needed",
            where=table.where(row),
            hint=_LISTS,
            code="data.words",
        )
    return cell


def may_be_labels(table: DataTable, chosen: WordColumns, spec: DataSpec) -> bool:
    """Tell whether a table has a label per text as well, which goes first where nothing is said."""
    if spec.label is not None or chosen.layout is Layout.WORDS:
        return False
    others = [name for name in columns.LABELS if name in table.columns and name != chosen.tags]
    return bool(others) and chosen.tags not in columns.LABELS


def missing(table: DataTable, spec: DataSpec) -> DataError:
    """Make the error for a table without words and tags."""
    columns_ = columns.quoted(table.columns)
    hint = "name the columns: --text COLUMN of words or texts, --label COLUMN of their tags or spans"
    words = next((name for name in WORDS if name in table.columns), None)
    for name, option in ((spec.text, "--text"), (spec.label, "--label")):
        if name is not None and name not in table.columns:
            return columns.no_column(table, name, option)
    if table.plain:
        what = "a .txt file has no tags"
        hint = "for columns of words and tags: --text '#1' --label '#2', or call it .conll"
    elif words is not None and spec.text is None and not _lists(table.columns[words], _is_text):
        what = f"column {words!r} holds no lists of words"
        hint = f"{_LISTS}; {_LINES}"
    elif words is not None and spec.label is None:
        what = f"no column of tags found among {columns_}"
        hint = f"name it: --label COLUMN, a list with a tag for each word; usual are {columns.quoted(TAGS)}"
    elif spec.label is not None:
        what = f"column {spec.label!r} holds no lists of tags or spans beside {columns_}"
    else:
        what = f"a label per word is needed; no words and tags, or texts and spans, among {columns_}"
        hint += f"; {_LINES}"
    return DataError(what, where=table.source, hint=hint, code="data.not-words")


def not_of_words(table: DataTable) -> DataError:
    """Make the error for words with tags where the model gives a label per text."""
    return DataError(
        "a tag for each word, but the model gives one label per text",
        where=table.source,
        hint="take a model for token classification (RobertaForTokenClassification), or rows with labels",
        code="data.not-words",
    )


def no_pairs(table: DataTable) -> DataError:
    """Make the error for pairs of texts of which each word would have a label."""
    return DataError(
        "words of a pair of texts cannot be labelled; a model with a label per word takes single texts",
        where="--text-pair",
        hint="leave --text-pair out",
        code="data.not-words",
    )
