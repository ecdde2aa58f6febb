"""Tagging schemes: what ``B-``, ``I-``, ``E-`` and ``S-`` before a type mean, read from the labels' names.

Entities are read from tags in two ways, both as seqeval 1.2.2 has them (https://github.com/chakki-works/seqeval):
its default, which every token with a type belongs to an entity in, and its strict mode, in which only what
the scheme allows is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks.outputs import Indices, WordTags
from edgeroberta.tasks.problem import Word

Mask = npt.NDArray[np.bool_]

#: What a tag's prefix says of its token.
OUTSIDE, BEGIN, INSIDE, END, SINGLE = range(5)
#: The label of tokens that belong to no entity.
OUTSIDE_LABEL = "O"
_TWO = {"B": BEGIN, "I": INSIDE}
#: BILOU says ``L`` and ``U`` where BIOES says ``E`` and ``S``.
_FOUR = (_TWO | {"E": END, "S": SINGLE}, _TWO | {"L": END, "U": SINGLE})
#: The type of tags without one, ``B`` and ``I``, as seqeval names it.
_UNNAMED = "_"


class Scheme(Word):
    """How tags mark where entities begin and end."""

    IO = "IO"  # a type alone, with ``I-`` or without: entities of one type that touch are one
    IOB1 = "IOB1"  # ``B-`` only where an entity follows one of the same type
    IOB2 = "IOB2"  # ``B-`` on the first token of each entity
    BIOES = "BIOES"  # ``E-`` on the last one too, and ``S-`` on a single one


@dataclass(frozen=True, eq=False)
class TagTable:
    """The labels of a task, read as tags."""

    scheme: Scheme
    types: tuple[str, ...]  # names of the entities' types, as they come first in the labels
    prefixes: Indices  # int64[L], of each label
    kinds: Indices  # int64[L], number of each label's type, -1 for ``O``

    def of(self, ids: Indices) -> tuple[Indices, Indices]:
        """Return prefixes and numbers of types of label ids, int64[n] each; an id of -1 is ``O``."""
        known = ids >= 0
        return np.where(known, self.prefixes[ids], OUTSIDE), np.where(known, self.kinds[ids], -1)


@lru_cache(maxsize=64)
def tag_table(labels: tuple[str, ...]) -> TagTable:
    """Read the labels of a task as tags.

    Prefixes are those of BIOES (or BILOU) where some type has a beginning and an end, else ``B-`` and
    ``I-``; a label that begins with none of them is a type by itself.
    """
    marks = _TWO
    for four in _FOUR:
        begun, ended = (
            {label[1:] for label in labels if four.get(label[:1]) in of and label[1:2] in ("", "-")}
            for of in ((BEGIN,), (END, SINGLE))
        )
        if begun & ended:
            marks = four
    bare = set(labels) - {OUTSIDE_LABEL} <= set(marks) and "B" in labels
    read = [_read(label, marks, bare=bare) for label in labels]
    types = tuple(dict.fromkeys(kind for _, kind in read if kind is not None))
    number: dict[str | None, int] = {kind: place for place, kind in enumerate(types)}
    prefixes = np.array([prefix for prefix, _ in read], np.int64)
    scheme = Scheme.BIOES if marks is not _TWO else Scheme.IOB2 if BEGIN in prefixes else Scheme.IO
    kinds = np.array([number.get(kind, -1) for _, kind in read], np.int64)
    return TagTable(scheme, types, prefixes, kinds)


def scheme_of_labels(labels: Sequence[str]) -> Scheme:
    """Tell the scheme of labels; IOB2 for IOB1, which :func:`scheme_of_tags` tells apart."""
    return tag_table(tuple(labels)).scheme


def scheme_of_tags(labels: Sequence[str], tags: WordTags) -> Scheme:
    """Tell the scheme of tags: IOB1 where entities begin with ``I-``, and ``B-`` only parts equal types."""
    table = tag_table(tuple(labels))
    if table.scheme is not Scheme.IOB2:
        return table.scheme
    around = _Neighbours.of(*table.of(tags.values), first_units(tags.offsets))
    begins_inside = (around.prefix == INSIDE) & ~around.same
    begins_anew = (around.prefix == BEGIN) & ~around.same
    return Scheme.IOB1 if begins_inside.any() and not begins_anew.any() else Scheme.IOB2


def first_units(offsets: Indices) -> Mask:
    """Tell which units are the first of a text, bool[total]."""
    first = np.zeros(int(offsets[-1]) + 1, np.bool_)
    first[offsets] = True
    return first[:-1]


def default_spans(prefix: Indices, kind: Indices, first: Mask) -> tuple[Indices, Indices]:
    """Find entities as seqeval does by default, and transformers' pipeline does for IO and IOB.

    ``prefix``, ``kind``: int64[m] of the units of texts, see :class:`TagTable`. ``first``: bool[m], where a
    text begins. Returns the first and the last unit of each entity, int64[e] each, ascending.
    """
    around = _Neighbours.of(prefix, kind, first)
    inside = prefix != OUTSIDE
    start = inside & (
        (prefix == BEGIN)
        | (prefix == SINGLE)
        | (around.before == END)
        | (around.before == SINGLE)
        | ~around.same
    )
    follows = np.append(inside & ~start, False)[1:]
    return np.flatnonzero(start), np.flatnonzero(inside & ~follows)


def strict_spans(scheme: Scheme, prefix: Indices, kind: Indices, first: Mask) -> tuple[Indices, Indices]:
    """Find entities as seqeval does in strict mode; arguments and result as in :func:`default_spans`.

    IO, which seqeval has no strict reading of, allows everything.
    """
    if scheme is Scheme.IO:
        return default_spans(prefix, kind, first)
    around = _Neighbours.of(prefix, kind, first)
    held = around.same & ((around.before == BEGIN) | (around.before == INSIDE))
    inside = held & ((prefix == INSIDE) | (prefix == END))
    if scheme is Scheme.IOB1:
        # seqeval lets an entity begin with I- after any B-, and with B- after the same type only.
        start = (prefix == INSIDE) & ((around.before == BEGIN) | ~around.same)
        start |= (prefix == BEGIN) & around.same
        start &= ~(inside & np.insert(start, 0, False)[:-1])
    else:
        start = (prefix == BEGIN) | (prefix == SINGLE)
    starts = np.flatnonzero(start)
    stops = np.append(np.flatnonzero(~inside), len(prefix))
    lasts = stops[np.searchsorted(stops, starts, side="right")] - 1
    if scheme is Scheme.BIOES:
        closed = (prefix[lasts] == END) | (prefix[lasts] == SINGLE)
    elif scheme is Scheme.IOB1:
        next_begins = np.append((prefix == BEGIN) & ~around.same & ~first, False)[lasts + 1]
        closed = ~((prefix[lasts] == BEGIN) & next_begins)
    else:
        closed = np.ones(len(starts), np.bool_)
    return starts[closed], lasts[closed]


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """Tags and those before them."""

    prefix: Indices
    before: Indices  # the prefix before, ``OUTSIDE`` where a text begins
    same: Mask  # whether both have the same type

    @classmethod
    def of(cls, prefix: Indices, kind: Indices, first: Mask) -> _Neighbours:
        before, kind_before = np.insert(prefix, 0, OUTSIDE)[:-1], np.insert(kind, 0, -1)[:-1]
        before = np.where(first, OUTSIDE, before)
        return cls(prefix, before, (kind == kind_before) & (kind >= 0) & ~first)


def _read(label: str, marks: dict[str, int], *, bare: bool) -> tuple[int, str | None]:
    if label == OUTSIDE_LABEL:
        return OUTSIDE, None
    if bare:
        return marks[label], _UNNAMED
    if label[:1] in marks and label[1:2] == "-" and len(label) > 2:
        return marks[label[0]], label[2:]
    return INSIDE, label
