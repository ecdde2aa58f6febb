"""Rows of a token task: texts, the words in them, and the tag of each word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.data import texts, word_spans, word_tables
from edgeroberta.data.readers import DataTable
from edgeroberta.data.tag_schemes import Entity
from edgeroberta.data.word_tables import Layout, WordColumns
from edgeroberta.errors import DataError, shown
from edgeroberta.tasks.outputs import WordTags

_SPACE = re.compile(r"[ \t\n\r\v\f]")
_JOIN = "white space separates words: write two words with a tag each, or one word without it"


@dataclass(frozen=True, eq=False)
class TaggedTexts:
    """Texts with the places of their words, and a tag for each or the entities; one item per row."""

    texts: tuple[str, ...]
    places: list[npt.NDArray[np.int64]]  # [words, 2] each: first character, and the one after the last
    tags: list[list[Any]]  # a tag for each word as it is written; of texts with spans, empty
    entities: list[list[Entity]]  # of texts with spans, else empty
    names: tuple[str, ...] | None = None  # what ids of tags stand for, where the file says so

    @property
    def labelled(self) -> str:
        """Which tokens of a word training gives its label."""
        return "first" if self.tags else "all"


def read(table: DataTable, chosen: WordColumns) -> TaggedTexts:
    """Read the texts of a table, their words and tags, and refuse what is broken."""
    if chosen.layout is Layout.WORDS:
        return _words(table, chosen)
    found = texts.checked(table, chosen.text)
    if chosen.layout is Layout.PLACES:
        return _places(table, chosen, found)
    places, entities = [], []
    for row, text in enumerate(found):
        spans = word_spans.read(table.columns[chosen.tags][row], text, table, row, chosen.tags)
        words = word_spans.words(text, spans)
        starts = {start: number for number, (start, _) in enumerate(words)}
        ends = {end: number + 1 for number, (_, end) in enumerate(words)}
        places.append(np.array(words, np.int64).reshape(-1, 2))
        entities.append([Entity(starts[each.start], ends[each.end], each.label) for each in spans])
    return TaggedTexts(found, places, [], entities)


def word_tags(found: TaggedTexts, ids: Sequence[npt.NDArray[np.int64]]) -> WordTags:
    """Pack one label id per word."""
    places = [
        np.column_stack([each, np.arange(len(each), dtype=np.int64)]).astype(np.int64)
        for each in found.places
    ]
    packed = WordTags.pack(list(ids), places)
    return WordTags(packed.values, packed.offsets, packed.places, found.labelled)


def record(text: str, tags: WordTags, row: int, labels: Sequence[str]) -> dict[str, Any]:
    """Return a row as JSON that reads back as it is: its text, the places of its words, and their tags."""
    ids, places = tags.part(row)
    assert places is not None
    return {
        "text": text,
        word_tables.PLACES: places[:, :2].tolist(),
        "tags": [labels[int(each)] for each in ids],
    }


def _words(table: DataTable, chosen: WordColumns) -> TaggedTexts:
    joined, places, tags = [], [], []
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
        places.append(np.column_stack([starts, ends]))
        tags.append(list(given))
    return TaggedTexts(tuple(joined), places, tags, [], table.label_names.get(chosen.tags))


def _places(table: DataTable, chosen: WordColumns, found: tuple[str, ...]) -> TaggedTexts:
    places, tags = [], []
    for row, text in enumerate(found):
        words = word_tables.listed(table, word_tables.PLACES, row)
        given = word_tables.listed(table, chosen.tags, row)
        if len(words) != len(given):
            raise _unequal(table, row, len(words), len(given))
        before = 0
        for number, each in enumerate(words):
            whole = (
                isinstance(each, list | tuple) and len(each) == 2 and all(type(one) is int for one in each)
            )
            if not whole or not before <= each[0] < each[1] <= len(text):
                what = f"{shown(each)} is no place of word {number + 1} in the text of {len(text)} characters"
                raise _wrong(what, table, row, number, "give [start, end] of each word, in their order")
            before = each[1]
        places.append(np.array(words, np.int64).reshape(-1, 2))
        tags.append(list(given))
    return TaggedTexts(found, places, tags, [], table.label_names.get(chosen.tags))


def _is_place(each: Any) -> bool:
    return isinstance(each, list | tuple) and len(each) == 2 and all(type(one) is int for one in each)


def _check_word(word: Any, table: DataTable, row: int, number: int) -> None:
    if not isinstance(word, str):
        what = f"word {number + 1} is {shown(word)}, not a text"
        raise _wrong(what, table, row, number, "write words as texts, in quotes")
    if not word.strip():
        what = (
            f"word {number + 1} is empty" if not word else f"word {number + 1} is white space, {shown(word)}"
        )
        raise _wrong(what, table, row, number, "delete it together with its tag")
    if found := _SPACE.search(word):
        what = f"{shown(found[0])} inside of word {number + 1}, {shown(word)}"
        raise _wrong(what, table, row, number, _JOIN)
    try:
        word.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f"half of a surrogate pair in word {number + 1}, {shown(word)}"
        hint = "write the file with a tool that knows UTF-8"
        raise DataError(what, where=table.where(row, number), hint=hint, code="data.words") from error


def _unequal(table: DataTable, row: int, words: int, tags: int) -> DataError:
    what = f"{words} words, but {tags} tags"
    return _wrong(what, table, row, None, "each word needs one tag, O where it belongs to no entity")


def _wrong(what: str, table: DataTable, row: int, number: int | None, hint: str) -> DataError:
    return DataError(what, where=table.where(row, number), hint=hint, code="data.words")
