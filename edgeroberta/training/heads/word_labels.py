"""Labels of words on the tokens that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks.outputs import END, START, WORD, WordTags

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.training.batching import Indices, Tokens

#: Prefixes that the first, the middle and the last token of a word carry where the word's own label has the
#: prefix that is the key, and that of a single token: of the schemes IOB, BIOES and BILOU. All tokens of a
#: word of another prefix, or of none, carry the word's label.
_PARTS = {
    "B": "BIIB",
    "S": "BIES",
    "U": "BILU",
    "E": "IIEE",
    "L": "IILL",
}
_FIRST, _MIDDLE, _LAST, _ONLY = range(4)
#: Stands for a token without a label.
NONE = -1


@dataclass(frozen=True, eq=False)
class AssignedLabels:
    """Labels of tokens."""

    values: Indices  # int64[tokens of the labelled texts], a label's id or NONE
    words: int  # how many words have a label
    #: how many of these have no token because their text was cut
    cut: int
    dropped: int  # how many have none because the tokenizer passes over their characters

    def values_and_none(self) -> Indices:
        """Return the values and one more, which stands for tokens of other texts."""
        return np.append(self.values, NONE)

    @property
    def notes(self) -> Mapping[str, int]:
        """What is worth telling."""
        return {"words": self.words, "words_cut": self.cut, "words_dropped": self.dropped}


def assign(rows: Rows, labels: Sequence[str], tokens: Tokens) -> AssignedLabels:
    """Give each token the label of its word.

    ``rows``: the first of the texts, with labels or without. ``labels``: names of the task's labels.
    ``tokens``: the texts, with places.
    """
    tags: WordTags | None = rows.labels
    if tags is None or not len(tags.values):
        labelled = 0 if tags is None else int(tokens.offsets[len(tags)])
        return AssignedLabels(np.full(labelled, NONE, np.int64), 0, 0, 0)
    offsets = tokens.offsets[: len(tags) + 1]
    places = np.asarray(tokens.located[: offsets[-1]], np.int64)
    word = _words(places, offsets, tags)
    there = word != NONE
    carries = there if tags.labelled == "all" else there & _begins(places, word)
    values = np.full(len(word), NONE)
    values[carries] = _spread(word[carries], tags.values, labels)
    told = tags.values >= 0
    lost = told & (np.bincount(word[there], minlength=len(tags.values)) == 0)
    cut = lost & _behind(places, offsets, tags, tokens.limit)
    return AssignedLabels(values, int(told.sum()), int(cut.sum()), int((lost & ~cut).sum()))


def _words(places: Indices, offsets: Indices, tags: WordTags) -> Indices:
    """Return which of all words each token stands for, int64[tokens], NONE for none.

    That is the first one of which it has a character: a token may have the space before it, too.
    """
    assert tags.places is not None
    step = 2 + max(int(places[:, END].max(initial=0)), int(tags.places[:, END].max(initial=0)))
    texts = np.repeat(np.arange(len(tags)), np.diff(offsets))
    ends = tags.texts * step + tags.places[:, END]
    word = np.searchsorted(ends, texts * step + places[:, START], side="right")
    held = np.minimum(word, len(ends) - 1)
    reach = np.maximum(places[:, END], places[:, START] + 1)
    inside = (word < len(ends)) & (tags.texts[held] == texts) & (tags.places[held, START] < reach)
    return np.where(inside & (places[:, WORD] >= 0), word, NONE)


def _behind(places: Indices, offsets: Indices, tags: WordTags, limit: int | None) -> npt.NDArray[np.bool_]:
    """Tell which words begin behind or end before all tokens of a text that was cut, bool[words]."""
    assert tags.places is not None
    real = places[:, WORD] >= 0
    texts = np.repeat(np.arange(len(tags)), np.diff(offsets))
    first, last = np.full(len(tags), np.iinfo(np.int64).max), np.zeros(len(tags), np.int64)
    np.minimum.at(first, texts[real], places[real, START])
    np.maximum.at(last, texts[real], places[real, END])
    full = np.diff(offsets) == limit
    outside = (tags.places[:, START] >= last[tags.texts]) | (tags.places[:, END] <= first[tags.texts])
    return full[tags.texts] & outside


def _begins(places: Indices, word: Indices) -> npt.NDArray[np.bool_]:
    """Tell which tokens begin a word, the data's or one that the runtime reads, bool[tokens].

    A word of the data can be several to the runtime: a space that is a token of its own is a word there, as
    it is to the pipeline of transformers. The runtime reads the first token of each of them.
    """
    begins = np.ones(len(word), np.bool_)
    begins[1:] = (word[1:] != word[:-1]) | (places[1:, WORD] != places[:-1, WORD])
    return begins


def _spread(word: Indices, own: Indices, labels: Sequence[str]) -> Indices:
    """Return what tokens carry of the labels of their words.

    ``word``: the word of each, int64[n]. ``own``: the label of each word.
    """
    table = np.array([_carried(label, labels) for label in labels], np.int64)
    first, last = np.ones((2, len(word)), np.bool_)
    first[1:] = last[:-1] = word[1:] != word[:-1]
    part = np.full(len(word), _MIDDLE)
    part[first], part[last], part[first & last] = _FIRST, _LAST, _ONLY
    return np.where(own[word] >= 0, table[own[word], part], NONE)


def _carried(label: str, labels: Sequence[str]) -> list[int]:
    """Return ids of the labels that a word's first, middle and last token carry, and its only one."""
    prefix, rest = label[:1], label[1:]
    wanted = [part + rest for part in _PARTS.get(prefix, "")] if rest[:1] in ("-", "_") else []
    return [labels.index(each if each in labels else label) for each in wanted or [label] * 4]
