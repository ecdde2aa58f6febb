"""Entities of many texts at once, as answers that can be compared and counted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks.confidence import Floats, top_probability
from edgeroberta.tasks.kind import Array
from edgeroberta.tasks.outputs import END, START, WORD, Indices, Outputs, Ragged
from edgeroberta.tasks.schemes import TagTable, default_spans, first_units, strict_spans

#: A type's number, the first character of an entity, and the one after its last.
Span = tuple[int, int, int]


@dataclass(frozen=True)
class EntityAnswer:
    """What is found in one text."""

    entities: tuple[Span, ...]  # in the order of the text
    strict: tuple[Span, ...]  # those of them that the scheme's strict reading has, or as it has them


#: Nothing found.
NOTHING = EntityAnswer((), ())


def answers(found: list[EntityAnswer]) -> Array:
    """Return an array of answers, object[n]."""
    return np.fromiter(found, dtype=object, count=len(found))


@dataclass(frozen=True, eq=False)
class _Words:
    """The tokens of texts that stand for characters, and the words that they make."""

    values: npt.NDArray[np.float32]  # ``[tokens, L]``
    rows: Indices  # int64 ``[words]``, the first token of each word
    lengths: Indices  # int64 ``[words]``, tokens of each word
    texts: Indices  # int64 ``[words]``, the text that each is of
    places: Indices  # int64 ``[words, 3]``

    @classmethod
    def of(cls, outputs: Outputs, aggregation: str) -> _Words:
        """Tell words apart; where nobody knows what the tokens stand for, each is one."""
        values, texts = outputs.values, outputs.texts
        if outputs.places is None:
            start = np.arange(len(values)) - outputs.offsets[texts]
            places = np.stack([start, start + 1, start], axis=1)
            return cls(values, np.arange(len(values)), np.ones(len(values), np.int64), texts, places)
        kept = np.flatnonzero(outputs.places[:, WORD] >= 0)
        values, places, texts = values[kept], outputs.places[kept], texts[kept]
        new = np.ones(len(kept), np.bool_)
        if aggregation != "simple":
            before = places[:-1]
            same = (places[1:, WORD] == before[:, WORD]) | (places[1:, START] == before[:, START])
            new[1:] = (texts[1:] != texts[:-1]) | ~same
        rows = np.flatnonzero(new)
        lengths = np.diff(np.append(rows, len(kept)))
        words = np.stack([places[rows, START], places[rows + lengths - 1, END], places[rows, WORD]], axis=1)
        return cls(values, rows, lengths, texts[rows], words)


def certainty(outputs: Outputs, aggregation: str, temperature: float) -> Floats:
    """Return the probability of the label of each text's least certain word, float64[n]; 1 without words.

    ``temperature``: what logits are divided by. A word has the probability of what gives it its label: of its
    first token, of the surest one, or the mean of all.
    """
    words = _Words.of(outputs, aggregation)
    found = np.ones(len(outputs))
    if not len(words.rows):
        return found
    if aggregation in ("simple", "first"):
        sure = top_probability(words.values[words.rows], temperature)
    elif aggregation == "average":
        scaled = words.values.astype(np.float64) / temperature
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        shares = np.add.reduceat(powers / powers.sum(axis=1, keepdims=True), words.rows, axis=0)
        sure = shares.max(axis=1) / words.lengths
    else:
        sure = np.maximum.reduceat(top_probability(words.values, temperature), words.rows)
    np.minimum.at(found, words.texts, sure)
    return found


def certainty_of_text(values: Array, places: Indices, aggregation: str, temperature: float) -> float:
    """Return the same of one text, quicker where the first token of each word is all that counts.

    ``values``: float32 ``[tokens, L]``. ``places``: int64 ``[tokens, 3]``.
    """
    if aggregation not in ("simple", "first"):
        return float(certainty(Outputs.pack([values], [places]), aggregation, temperature)[0])
    rows = []
    known = begun = -1
    for row, (start, _, word) in enumerate(places.tolist()):
        if word < 0:
            continue
        if aggregation == "simple" or (word != known and start != begun):
            rows.append(row)
        known, begun = word, start
    return float(top_probability(values[rows], temperature).min()) if rows else 1.0


def tagged_words(outputs: Outputs, aggregation: str) -> Ragged:
    """Give each word its label, as :mod:`.entities` does for one text.

    Where nobody knows what the units stand for, each is a word. Tokens that begin at the same character are
    one word's, as in training, even where the pipeline of transformers begins a new one (after a space, of
    the tokens of a space and a letter, or of a letter's bytes). Returns label ids int64 [words] and their
    places.
    """
    words = _Words.of(outputs, aggregation)
    offsets = np.searchsorted(words.texts, np.arange(len(outputs) + 1))
    labels = _word_labels(words.values, words.rows, words.lengths, aggregation)
    return Ragged(labels, offsets.astype(np.int64), words.places)


def decoded(table: TagTable, words: Ragged) -> Array:
    """Read the entities of texts from the tags of their words, object[n] of :class:`EntityAnswer`.

    ``words``: label ids int64 [words] with places; -1 counts as ``O``.
    """
    prefix, kind = table.of(words.values)
    first = first_units(words.offsets)
    loose = default_spans(prefix, kind, first)
    strict = strict_spans(table.scheme, prefix, kind, first)
    entities = _per_text(words, kind, loose)
    if np.array_equal(loose[0], strict[0]) and np.array_equal(loose[1], strict[1]):
        return answers([EntityAnswer(each, each) for each in entities])
    both = zip(entities, _per_text(words, kind, strict), strict=True)
    return answers([EntityAnswer(*each) for each in both])


def _per_text(words: Ragged, kind: Indices, spans: tuple[Indices, Indices]) -> list[tuple[Span, ...]]:
    starts, lasts = spans
    assert words.places is not None
    # A space that is a token by itself stands for no character.
    whole = words.places[starts, START] < words.places[lasts, END]
    starts, lasts = starts[whole], lasts[whole]
    rows = list(
        zip(
            kind[starts].tolist(),
            words.places[starts, START].tolist(),
            words.places[lasts, END].tolist(),
            strict=True,
        )
    )
    bounds = np.searchsorted(starts, words.offsets).tolist()
    return [tuple(rows[begin:end]) for begin, end in pairwise(bounds)]


def _word_labels(
    values: npt.NDArray[np.float32], rows: Indices, lengths: Indices, aggregation: str
) -> Indices:
    """Return the label id of each word, int64[words]; ``rows`` are their first tokens."""
    if aggregation in ("simple", "first") or not len(rows):
        return _argmax(values[rows])
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    if aggregation == "average":
        return _argmax(np.add.reduceat(probabilities, rows, axis=0))
    top = probabilities.max(axis=1)
    surest = top == np.repeat(np.maximum.reduceat(top, rows), lengths)
    # Of equally sure tokens the first.
    words = np.repeat(np.arange(len(rows)), lengths)[surest]
    return _argmax(probabilities[np.flatnonzero(surest)[np.searchsorted(words, np.arange(len(rows)))]])


def _argmax(values: npt.NDArray[np.float32]) -> Indices:
    return np.argmax(values, axis=1).astype(np.int64)
