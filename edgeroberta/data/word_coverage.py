"""Words that a tokenizer gives no token: dropped by it, or cut off with the end of a long text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeroberta.data.rows import Rows
from edgeroberta.tasks.outputs import END, START, WORD, Indices, WordTags


@dataclass(frozen=True)
class Coverage:
    """How many words of rows have a token, and how many do not."""

    words: int
    dropped: int  # words in which no token has a character, though the text was read to its end or beyond
    cut: int  # words after the last token of a text that was cut off
    tagged: int  # of both, words of entities
    texts: int  # texts that have such words
    first: int | None  # the first of these texts; None where there is none

    def said(self, rows: Rows) -> str | None:
        """Say it for people; None where every word has a token."""
        if self.first is None:
            return None
        lost = [(self.cut, "cut off with the end of their text"), (self.dropped, "dropped by the tokenizer")]
        how = " and ".join(f"{count:,} {what}" for count, what in lost if count)
        return (
            f"{rows.source}: of {self.words:,} words {how}, in {self.texts:,} of {len(rows):,} texts; "
            f"{self.tagged:,} of these words are in entities, which no model can find"
        )


def coverage(tags: WordTags, places: Sequence[Indices], outside: int | None) -> Coverage:
    """Count the words without a token.

    ``places``: int64 [tokens, 3] of each text's tokens, see :class:`edgeroberta.tasks.outputs.Ragged`.
    ``outside``: the id of the label ``O``, None where there is none. A word is cut if it begins after the
    last token, and dropped otherwise.
    """
    dropped = cut = tagged = texts = 0
    first: int | None = None
    for row, tokens in enumerate(places):
        ids, words = tags.part(row)
        assert words is not None
        real = tokens[(tokens[:, WORD] >= 0) & (tokens[:, END] > tokens[:, START])]
        real = real[np.argsort(real[:, START], kind="stable")]
        # The furthest end so far rises, so that the first token that reaches into a word can be searched for.
        ends = np.maximum.accumulate(real[:, END]) if len(real) else np.zeros(0, np.int64)
        place = np.searchsorted(ends, words[:, START], side="right")
        begins = np.append(real[:, START], np.iinfo(np.int64).max)
        without = begins[place] >= words[:, END]
        if not without.any():
            continue
        after = without & (place == len(real))
        cut += int(after.sum())
        dropped += int((without & ~after).sum())
        tagged += int((without & (ids != (-1 if outside is None else outside))).sum())
        texts, first = texts + 1, row if first is None else first
    return Coverage(len(tags.values), dropped, cut, tagged, texts, first)
