"""Entities of one text from the probabilities of its tokens: what a device does all day.

Tokens are put together as the ``token-classification`` pipeline of transformers does it, under the same
names (https://huggingface.co/docs/transformers/main_classes/pipelines, ``aggregation_strategy``). Where tags
are BIOES, of which the pipeline knows ``B-`` and ``I-`` alone, entities are read as seqeval reads them. Those
without a character are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError
from edgeroberta.tasks.outputs import Indices
from edgeroberta.tasks.schemes import BEGIN, END, OUTSIDE, SINGLE, tag_table

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Entity:
    """A part of a text that has a name.

    Attributes:
        label: Type of the entity, without ``B-`` or ``I-``.
        start: Its first character in the text that was given.
        end: The character after its last.
        text: These characters, ``text[start:end]``.
        score: Mean probability of its tokens' or words' labels.
    """

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True)
class TokenPrediction:
    """The answer for one text.

    Attributes:
        entities: What was found, in the order of the text.
        truncated: True when the text was longer than the model takes and its end was not read.
        windows: Parts that the text was read in; more than one for a long text read in windows.
        tier: Name of the cascade's tier that answered; None of a bundle of one model.
    """

    entities: tuple[Entity, ...]
    truncated: bool
    windows: int = 1
    tier: str | None = None


@dataclass(frozen=True, eq=False)
class Units:
    """Tokens or words in a row, each with its label."""

    labels: list[int]  # id of each unit's label
    starts: list[int]  # its first character
    ends: list[int]  # the character after its last
    scores: Callable[[list[int]], list[float]]  # probabilities of the labels of chosen units


_NO_UNITS = Units([], [], [], lambda chosen: [])


def simple(values: Values, places: Indices) -> Units:
    """Take every token for itself."""
    if len(places) and (places[0, 2] < 0 or places[-1, 2] < 0 or (places[:, 2] < 0).any()):
        kept = np.flatnonzero(places[:, 2] >= 0)
        values, places = values[kept], places[kept]
    return _largest(values, places[:, 0].tolist(), places[:, 1].tolist())


def first(values: Values, places: Indices) -> Units:
    """Take the first token of each word for the word."""
    rows, starts, ends = _words(places)
    return _largest(values[rows], starts, ends)


def average(values: Values, places: Indices) -> Units:
    """Take the mean of the probabilities of each word's tokens."""
    rows, starts, ends = _words(places)
    if not rows:
        return _NO_UNITS
    tokens, lengths = _tokens(places, rows)
    total = np.add.reduceat(_softmax(values[tokens]), np.cumsum([0, *lengths[:-1]]), axis=0)
    means = total / np.array(lengths, np.float32)[:, None]
    best = means.argmax(axis=1)
    return Units(best.tolist(), starts, ends, lambda chosen: means[chosen, best[chosen]].tolist())


def maximum(values: Values, places: Indices) -> Units:
    """Take the token of each word that is surest of its label."""
    rows, starts, ends = _words(places)
    if not rows:
        return _NO_UNITS
    tokens, lengths = _tokens(places, rows)
    probabilities = _softmax(values[tokens])
    tops = probabilities.max(axis=1).tolist()
    chosen, place = [], 0
    for length in lengths:
        chosen.append(max(range(place, place + length), key=tops.__getitem__))
        place += length
    best = probabilities[chosen].argmax(axis=1).tolist()
    return Units(best, starts, ends, lambda units: [tops[chosen[unit]] for unit in units])


#: How tokens become units that have a label, by the names that transformers has for it.
AGGREGATIONS: dict[str, Callable[[Values, Indices], Units]] = {
    "simple": simple,
    "first": first,
    "average": average,
    "max": maximum,
}


def read(
    labels: tuple[str, ...], aggregation: str, values: Values, places: Indices, text: str
) -> tuple[Entity, ...]:
    """Read the entities of a text.

    ``labels``: the task's. ``aggregation``: a key of :data:`AGGREGATIONS`. ``values``: float32 [tokens, L].
    ``places``: int64 [tokens, 3], see :class:`edgeroberta.tasks.outputs.Ragged`. ``text``: what was
    tokenized. Raises EngineError: a number is NaN or infinite.
    """
    # A sum is finite where all numbers are, unless these are as large as no model's.
    if not math.isfinite(values.sum()) and not np.isfinite(values).all():
        raise EngineError("the engine answered with a number that is not finite", hint="edgeroberta doctor")
    units = AGGREGATIONS[aggregation](values, places)
    tags, names = _tags(labels)
    runs: list[tuple[int, int, int]] = []  # type, first unit, the one after the last
    before, kind_before = OUTSIDE, -1
    for unit, label in enumerate(units.labels):
        prefix, kind = tags[label]
        if prefix != OUTSIDE:
            if kind != kind_before or prefix in (BEGIN, SINGLE) or before in (END, SINGLE):
                runs.append((kind, unit, unit + 1))
            else:
                runs[-1] = (kind, runs[-1][1], unit + 1)
        before, kind_before = prefix, kind
    if not runs:
        return ()
    scores = units.scores([unit for _, begin, stop in runs for unit in range(begin, stop)])
    found, place = [], 0
    for kind, begin, stop in runs:
        part = scores[place : place + stop - begin]
        place += stop - begin
        start, end = units.starts[begin], units.ends[stop - 1]
        if start == end:  # of a space that is a token by itself
            continue
        found.append(Entity(names[kind], start, end, text[start:end], sum(part) / len(part)))
    return tuple(found)


@lru_cache(maxsize=64)
def _tags(labels: tuple[str, ...]) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    """Return prefix and type of each label as plain numbers, which are quicker one by one; and the types."""
    table = tag_table(labels)
    return list(zip(table.prefixes.tolist(), table.kinds.tolist(), strict=True)), table.types


def _words(places: Indices) -> tuple[list[int], list[int], list[int]]:
    """Return the first token of each word, its first character, and the one after its last."""
    rows: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    known = -1
    for row, (start, end, word) in enumerate(places.tolist()):
        if word < 0:
            continue
        if word == known:
            ends[-1] = end
            continue
        known = word
        rows.append(row)
        starts.append(start)
        ends.append(end)
    return rows, starts, ends


def _tokens(places: Indices, rows: list[int]) -> tuple[Indices, list[int]]:
    """Return the tokens that stand for characters, and how many each word has."""
    tokens = np.flatnonzero(places[:, 2] >= 0)
    begins = np.searchsorted(tokens, rows).tolist()
    return tokens, [end - begin for begin, end in zip(begins, [*begins[1:], len(tokens)], strict=True)]


def _largest(values: Values, starts: list[int], ends: list[int]) -> Units:
    best = values.argmax(axis=1) if len(values) else np.zeros(0, np.int64)

    def scores(chosen: list[int]) -> list[float]:
        rows = values[chosen]
        # The largest of a row has the power 1 in its softmax.
        top = rows.max(axis=1, keepdims=True)
        found: list[float] = (1 / np.exp(rows - top).sum(axis=1)).tolist()
        return found

    return Units(best.tolist(), starts, ends, scores)


def _softmax(values: Values) -> Values:
    if not len(values):
        return values
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
