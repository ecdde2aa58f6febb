"""Words that a tokenizer gives no token: dropped by it, or cut off with a long text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgeroberta.data.rows import Rows
from edgeroberta.runtime.encoding import Encoding
from edgeroberta.tasks.outputs import END, START, WORD, Indices, WordTags
from edgeroberta.tasks.schemes import OUTSIDE, tag_table

#: Texts tokenized before they are counted, so that memory does not grow with the rows.
_CHUNK = 8192


class _Tokenizer(Protocol):
    def encode(self, inputs: Sequence[str], *, places: bool) -> list[Encoding]: ...


@dataclass(frozen=True)
class Coverage:
    """How many words have no token."""

    words: int = 0  # all words
    dropped: int = 0  # words that the tokenizer leaves out of a text
    cut: int = 0  # words that are cut off with the end of a text
    tagged: int = 0  # of both, words of entities
    texts: int = 0  # texts that have such words

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(*(sum(both) for both in zip(vars(self).values(), vars(other).values(), strict=True)))


def told(rows: Rows, labels: Sequence[str], tokenizer: _Tokenizer) -> str | None:
    """Say how many words of rows have no token, for people; None where all have one.

    ``labels``: names of the label ids. ``tokenizer``: that of the model, which cuts long texts or reads them
    in windows.
    """
    tags = rows.labels
    if not isinstance(tags, WordTags):
        return None
    outside = tag_table(tuple(labels)).prefixes == OUTSIDE
    found = Coverage()
    for start in range(0, len(rows), _CHUNK):
        part = tags[start : start + _CHUNK]
        texts = rows.texts[start : start + _CHUNK]
        for row, encoding in enumerate(tokenizer.encode(texts, places=True)):
            places = [each.places for each in (encoding, *encoding.rest) if each.places is not None]
            if places:
                found += count(part, row, outside, np.concatenate(places), truncated=encoding.truncated)
    lost = [(found.cut, "are beyond what the model reads of a text"), (found.dropped, "get no token")]
    if not found.texts:
        return None
    how = " and ".join(f"{number:,} {what}" for number, what in lost if number)
    return (
        f"{rows.source}: of {found.words:,} words {how}, in {found.texts:,} of {len(rows):,} texts; "
        f"{found.tagged:,} of these words are in entities"
    )


def count(tags: WordTags, row: int, outside: Indices, places: Indices, *, truncated: bool) -> Coverage:
    """Count the words of one text without a token.

    ``outside``: bool[L], which labels are of words outside of entities. ``places``: int64 [tokens, 3], see
    :class:`edgeroberta.tasks.outputs.Ragged`; of all windows. ``truncated``: whether the text was cut;
    then words before the first token or after the last are cut, and not dropped.
    """
    ids, words = tags.part(row)
    if words is None:
        return Coverage(len(ids))
    real = places[(places[:, WORD] >= 0) & (places[:, END] > places[:, START])]
    real = real[np.argsort(real[:, START], kind="stable")]
    # The furthest end so far rises, so that the first token that reaches into a word can be searched for.
    ends = np.maximum.accumulate(real[:, END]) if len(real) else real[:, END]
    place = np.searchsorted(ends, words[:, START], side="right")
    begins = np.append(real[:, START], np.iinfo(np.int64).max)
    without = begins[place] >= words[:, END]
    if not without.any():
        return Coverage(len(ids))
    cut = without & ((place == 0) | (place == len(real))) & truncated
    tagged = without & ~outside[ids]
    dropped, lost, named = (int(each.sum()) for each in (without & ~cut, cut, tagged))
    return Coverage(len(ids), dropped, lost, named, 1)


def of_parts(parts: Sequence[Rows], labels: Sequence[str], tokenizer: _Tokenizer) -> Iterator[str]:
    """Give what :func:`told` says of each part, where it says something."""
    for part in parts:
        if (line := told(part, labels, tokenizer)) is not None:
            yield line
