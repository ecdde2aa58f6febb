"""Rows of a token task: texts, the words in them, and the tag of each word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeroberta.data import texts, word_spans, word_tables
from edgeroberta.data.readers import DataTable
from edgeroberta.data.tag_schemes import Entities
from edgeroberta.data.word_files import TAGS, counted
from edgeroberta.data.word_tables import Layout, WordColumns
from edgeroberta.errors import DataError, shown
from edgeroberta.tasks.outputs import Indices, WordTags

_SPACE = re.compile(r"[ \t\n\r\v\f]")
_SPLIT = "white space separates words: write two words with a tag each, or one word without it"


@dataclass(frozen=True, eq=False)
class TaggedTexts:
    """Texts, the places of their words, and what is said of the words; all words are numbered through."""

    texts: tuple[str, ...]
    offsets: Indices  # int64[texts + 1], where the words of each text start
    places: Indices  # int64[words, 3], see :class:`edgeroberta.tasks.outputs.Ragged`
    tags: list[Any] | None  # the tag of each word as it is written; None where there are spans
    entities: Entities | None  # what spans say; None where there are tags
    names: tuple[str, ...] | None = None  # what ids of tags stand for, where the file says so

    def word(self, number: int) -> tuple[int, int]:
        """Return the row that a word is in, and the word's number there."""
        row = int(np.searchsorted(self.offsets, number, side="right")) - 1
        return row, number - int(self.offsets[row])

    def labelled(self, ids: Indices) -> WordTags:
        """Give each word its label id, int64[words]."""
        return WordTags(ids, self.offsets, self.places, "all" if self.tags is None else "first")


def read(table: DataTable, chosen: WordColumns) -> TaggedTexts:
    """Read the texts of a table, their words and tags, and refuse what is broken."""
    if chosen.layout is Layout.WORDS:
        return _words(table, chosen)
    found = texts.checked(table, chosen.text)
    return (_places if chosen.layout is Layout.PLACES else _spans)(table, chosen, found)


def record(text: str, tags: WordTags, row: int, labels: Sequence[str]) -> dict[str, Any]:
    """Return a row as JSON that reads back as it is: its text, the places of its words, and their tags."""
    ids, places = tags.part(row)
    spans = [] if places is None else places[:, :2].tolist()
    return {"text": text, word_tables.PLACES: spans, TAGS: [labels[int(each)] for each in ids]}


def _words(table: DataTable, chosen: WordColumns) -> TaggedTexts:
    joined, spans, tags = [], [], []
    for row in range(len(table)):
        words = word_tables.listed(table, chosen.text, row)
        given = word_tables.listed(table, chosen.tags, row)
        if not words:
            raise _wrong("a sentence without words", table, row, None, "delete the row")
        if len(words) != len(given):
            raise _unequal(table, row, len(words), len(given))
        for number, word in enumerate(words):
            _check_word(word, table, row, number)
        ends = np.cumsum([len(word) + 1 for word in words], dtype=np.int64) - 1
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
        joined.append(" ".join(words))
        spans.append(np.column_stack([starts, ends]))
        tags.extend(given)
    return _packed(tuple(joined), spans, tags, None, table.label_names.get(chosen.tags))


def _places(table: DataTable, chosen: WordColumns, found: tuple[str, ...]) -> TaggedTexts:
    spans, tags = [], []
    for row, text in enumerate(found):
        words = word_tables.listed(table, word_tables.PLACES, row)
        given = word_tables.listed(table, chosen.tags, row)
        if len(words) != len(given):
            raise _unequal(table, row, len(words), len(given))
        before = 0
        for number, each in enumerate(words):
            if not _is_place(each) or not before <= each[0] < each[1] <= len(text):
                what = f"{shown(each)} is no place of word {number + 1} in the text of {len(text)} characters"
                raise _wrong(what, table, row, number, "give [start, end] of each word, in their order")
            before = each[1]
        spans.append(np.array(words, np.int64).reshape(-1, 2))
        tags.extend(given)
    return _packed(found, spans, tags, None, table.label_names.get(chosen.tags))


def _spans(table: DataTable, chosen: WordColumns, found: tuple[str, ...]) -> TaggedTexts:
    places, bounds, types, total = [], list[tuple[int, int]](), list[str](), 0
    for row, text in enumerate(found):
        spans = word_spans.read(table.columns[chosen.tags][row], text, table, row, chosen.tags)
        words = word_spans.words(text, spans)
        starts = {start: total + number for number, (start, _) in enumerate(words)}
        ends = {end: total + number for number, (_, end) in enumerate(words)}
        bounds.extend((starts[each.start], ends[each.end]) for each in spans)
        types.extend(each.label for each in spans)
        places.append(np.array(words, np.int64).reshape(-1, 2))
        total += len(words)
    both = np.array(bounds, np.int64).reshape(-1, 2)
    return _packed(found, places, None, Entities(both[:, 0], both[:, 1], tuple(types)), None)


def _packed(
    found: tuple[str, ...],
    spans: list[Indices],
    tags: list[Any] | None,
    entities: Entities | None,
    names: tuple[str, ...] | None,
) -> TaggedTexts:
    lengths = [len(each) for each in spans]
    numbers = [np.arange(length, dtype=np.int64) for length in lengths]
    places = np.column_stack([np.concatenate(spans), np.concatenate(numbers)])
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    return TaggedTexts(found, offsets, places, tags, entities, names)


def _is_place(each: Any) -> bool:
    return isinstance(each, list | tuple) and len(each) == 2 and all(type(one) is int for one in each)


def _check_word(word: Any, table: DataTable, row: int, number: int) -> None:
    if not isinstance(word, str):
        what = f"word {number + 1} is {shown(word)}, not a text"
        raise _wrong(what, table, row, number, "write words as texts, in quotes")
    if not word.strip():
        what = f"word {number + 1} is {'white space, ' + shown(word) if word else 'empty'}"
        raise _wrong(what, table, row, number, "delete it together with its tag")
    if found := _SPACE.search(word):
        what = f"{shown(found[0])} inside of word {number + 1}, {shown(word)}"
        raise _wrong(what, table, row, number, _SPLIT)
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        what = f"half of a surrogate pair in word {number + 1}, {shown(word)}"
        raise _wrong(what, table, row, number, "write the file with a tool that knows UTF-8") from None


def _unequal(table: DataTable, row: int, words: int, tags: int) -> DataError:
    what = f"{counted(words, 'word')}, but {counted(tags, 'tag')}"
    return _wrong(what, table, row, None, "each word needs one tag, O where it belongs to no entity")


def _wrong(what: str, table: DataTable, row: int, number: int | None, hint: str) -> DataError:
    return DataError(what, where=table.where(row, number), hint=hint, code="data.words")
