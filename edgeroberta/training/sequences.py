"""Training sequences cut from documents: whole sentences, or pairs of which one part follows the other.

Everything here works on token ids of some thousand documents at a time; see :mod:`.packing` for the files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.training.batching import Indices, first_windows
from edgeroberta.training.blocks import Packing
from edgeroberta.training.sentence_ends import SentenceEnds

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = npt.NDArray[Any]
#: Share of segment pairs that are shorter than the room, as BERT has them.
_SHORT = 0.1


@dataclass(frozen=True)
class Template:
    """Special tokens of sequences."""

    before: tuple[int, ...]  # of a single text
    after: tuple[int, ...]
    pair: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # before, between and behind two texts

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Template:
        """Read what the tokenizer puts around texts.

        Raises CheckpointError: it puts nothing there, so that texts could not be told apart.
        """
        single = tokenizer.encode("a").special_tokens_mask
        found = tokenizer.encode("a", "a")
        if not single[-1:] == [1]:
            raise CheckpointError(
                "the tokenizer puts no separator behind a text, so packed texts could not be told apart",
                hint="give it a post-processor, as RoBERTa's or BERT's tokenizers have",
            )
        start = single.index(0)
        stop = len(single) - single[::-1].index(0)
        ids = tokenizer.encode("a").ids
        parts: list[list[int]] = [[], [], []]
        seen = 0
        for token, special, sequence in zip(
            found.ids, found.special_tokens_mask, found.sequence_ids, strict=True
        ):
            if special:
                parts[seen].append(token)
            else:
                seen = 1 + int(sequence or 0)
        return cls(tuple(ids[:start]), tuple(ids[stop:]), (tuple(parts[0]), tuple(parts[1]), tuple(parts[2])))

    @property
    def separator(self) -> int:
        """The token between two documents."""
        return self.after[-1]

    def room(self, length: int, *, paired: bool) -> int:
        """Return how many tokens of text a sequence of ``length`` tokens has."""
        special = sum(map(len, self.pair)) if paired else len(self.before) + len(self.after)
        return length - special


@dataclass(frozen=True, eq=False)
class Window:
    """Some documents, one after the other."""

    ids: Ids  # [tokens], without special tokens
    documents: Indices  # int64[documents + 1], where each begins; none is empty
    ends: npt.NDArray[np.bool_]  # bool[tokens], the last token of each sentence

    @classmethod
    def of(cls, ids: Ids, lengths: Indices, ends: SentenceEnds) -> Window:
        """Find the sentences of documents; ``lengths``: int64[documents], tokens of each."""
        documents = first_windows(lengths)
        first = np.zeros(len(ids), bool)
        first[documents[:-1]] = True
        return cls(ids, documents, ends.of_ids(ids, first))

    def units(self, longest: int) -> Units:
        """Cut the documents into sentences, and sentences into parts of at most so many tokens."""
        stops = np.flatnonzero(self.ends) + 1
        starts = np.concatenate([np.zeros(1, np.int64), stops[:-1]])
        counts = -(-(stops - starts) // longest)
        if counts.max(initial=1) > 1:
            number = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
            starts = np.repeat(starts, counts) + number * longest
            stops = np.minimum(starts + longest, np.repeat(stops, counts))
        owners = np.searchsorted(self.documents, starts, "right") - 1
        return Units(starts, stops, owners)


class Units(NamedTuple):
    """The sentences of a window, int64[sentences] each."""

    starts: Indices  # the first token
    stops: Indices  # the one behind its last
    owners: Indices  # number of the document


class Sequences(NamedTuple):
    """Training sequences."""

    ids: Ids  # [tokens], one after the other
    lengths: Indices  # int64[sequences]
    next_sentence: npt.NDArray[np.int8] | None  # int8[sequences]; None where there are no second parts


Packer = Callable[[Window, Template, int, np.random.Generator], Sequences]


def full_sentences(window: Window, template: Template, length: int, random: np.random.Generator) -> Sequences:
    """Fill each sequence with whole sentences, and put a separator where a new document begins in it."""
    room = template.room(length, paired=False)
    units = window.units(room)
    text = np.insert(window.ids, window.documents[1:], template.separator)
    starts, stops = units.starts + units.owners, units.stops + units.owners
    return _single(text, _filled(starts, stops, room, [len(starts)] * len(starts)), template)


def doc_sentences(window: Window, template: Template, length: int, random: np.random.Generator) -> Sequences:
    """Fill each sequence with whole sentences of one document."""
    room = template.room(length, paired=False)
    units = window.units(room)
    lasts = np.searchsorted(units.owners, units.owners, "right").tolist()
    return _single(window.ids, _filled(units.starts, units.stops, room, lasts), template)


def _filled(starts: Indices, stops: Indices, room: int, lasts: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first token of each sequence and the one behind its last; ``lasts``: where each must end."""
    found: list[tuple[int, int]] = []
    begins, ends, unit = starts.tolist(), stops.tolist(), 0
    while unit < len(begins):
        after = bisect_right(ends, begins[unit] + room, unit, min(lasts[unit], unit + room))
        found.append((begins[unit], ends[after - 1]))
        unit = after
    return found


def _single(text: Ids, spans: Sequence[tuple[int, int]], template: Template) -> Sequences:
    begins, ends = np.array(spans, np.int64).reshape(-1, 2).T
    steps = np.zeros(len(text) + 1, np.int8)
    steps[begins] += 1
    steps[ends] -= 1
    inside = np.cumsum(steps[:-1], dtype=np.int8).astype(bool)
    return _with_specials(text[inside], (ends - begins)[:, None], (template.before, template.after), None)


def _with_specials(
    text: Ids, lengths: Indices, specials: Sequence[tuple[int, ...]], labels: npt.NDArray[np.int8] | None
) -> Sequences:
    """Put special tokens around the parts of sequences.

    ``lengths``: int64[sequences, parts]. ``specials``: those before each part, and behind the last one.
    """
    places = np.zeros((len(lengths), lengths.shape[1] + 1), np.int64)
    places[:, 1:] = np.cumsum(lengths).reshape(lengths.shape)
    places[1:, 0] = places[:-1, -1]
    where = np.repeat(places, [len(each) for each in specials], axis=1).ravel()
    what = np.tile(np.array([token for each in specials for token in each], text.dtype), len(lengths))
    more = sum(map(len, specials))
    return Sequences(np.insert(text, where, what), lengths.sum(axis=1) + more, labels)


def segment_pairs(window: Window, template: Template, length: int, random: np.random.Generator) -> Sequences:
    """Fill each sequence with two segments: of one document in a row, or the second from another one.

    As in BERT, but sentences longer than half of the room are cut before, so
    that nothing has to be cut off later.
    """
    room = template.room(length, paired=True)
    units = window.units(room // 2)
    stops, count = units.stops.tolist(), len(window.documents) - 1
    starts, owners = units.starts.tolist(), units.owners.tolist()
    firsts = np.searchsorted(units.owners, np.arange(count + 1)).tolist()
    draws = random.random((len(starts), 5))
    spans: list[tuple[int, int, int, int]] = []
    labels: list[int] = []
    unit = 0
    while unit < len(starts):
        short, size, cut, other, place = draws[unit].tolist()
        owner = owners[unit]
        last = firsts[owner + 1]
        target = room if short >= _SHORT else 2 + int(size * (room - 1))
        stop = max(bisect_right(stops, starts[unit] + target, unit, last), min(unit + 2, last))
        if stop - unit > 1 and cut < 0.5:
            middle = unit + 1 + int(2 * cut * (stop - unit - 1))
            spans.append((starts[unit], stops[middle - 1], starts[middle], stops[stop - 1]))
            labels.append(1)
            unit = stop
            continue
        middle = unit + 1 + int((2 * cut - 1) * (stop - unit - 1)) if stop - unit > 1 else stop
        theirs = int(other * (count - 1))
        theirs += theirs >= owner
        first = firsts[theirs] + int(place * (firsts[theirs + 1] - firsts[theirs]))
        most = starts[unit] + room - (stops[first] - starts[first])
        middle = min(middle, bisect_right(stops, most, unit, last))
        left = target - (stops[middle - 1] - starts[unit])
        end = max(first + 1, bisect_right(stops, starts[first] + left, first, firsts[theirs + 1]))
        spans.append((starts[unit], stops[middle - 1], starts[first], stops[end - 1]))
        labels.append(0)
        unit = middle  # what the segment of the other document took the place of comes later
    return _paired(window.ids, np.array(spans, np.int64), np.array(labels, np.int8), template)


def sentence_pairs(window: Window, template: Template, length: int, random: np.random.Generator) -> Sequences:
    """Make pairs of single sentences: two of one document in a row, or the second from another one."""
    units = window.units(template.room(length, paired=True) // 2)
    total, count = len(units.starts), len(window.documents) - 1
    goes_on = np.append(units.owners[1:] == units.owners[:-1], False)
    pairs = (random.random(total) < 0.5) & goes_on
    first = np.array(_every(pairs.tolist()), np.int64)
    follows = pairs[first]
    theirs = random.integers(0, max(count - 1, 1), len(first))
    theirs += theirs >= units.owners[first]
    firsts = np.searchsorted(units.owners, np.arange(count + 1))
    sizes = firsts[theirs + 1] - firsts[theirs]
    foreign = firsts[theirs] + (random.random(len(first)) * sizes).astype(np.int64)
    second = np.where(follows, first + follows, foreign)
    spans = [units.starts[first], units.stops[first], units.starts[second], units.stops[second]]
    return _paired(window.ids, np.stack(spans, axis=1), follows.astype(np.int8), template)


def _every(pairs: Sequence[bool]) -> list[int]:
    """Return the first sentence of each pair; ``pairs``: whether a sentence takes the next one along."""
    found, unit = [], 0
    while unit < len(pairs):
        found.append(unit)
        unit += 1 + pairs[unit]
    return found


def _paired(text: Ids, spans: Indices, labels: npt.NDArray[np.int8], template: Template) -> Sequences:
    """Put pairs together; ``spans``: int64[pairs, 4], begin and end of both parts."""
    parts = spans.reshape(-1, 2)
    lengths = parts[:, 1] - parts[:, 0]
    ends = np.cumsum(lengths)
    numbers = np.arange(int(lengths.sum())) + np.repeat(parts[:, 0] - ends + lengths, lengths)
    return _with_specials(text[numbers], lengths.reshape(-1, 2), template.pair, labels)


#: How to cut a window into sequences.
PACKERS: dict[Packing, Packer] = {
    Packing.FULL_SENTENCES: full_sentences,
    Packing.DOC_SENTENCES: doc_sentences,
    Packing.SEGMENT_PAIRS: segment_pairs,
    Packing.SENTENCE_PAIRS: sentence_pairs,
}
