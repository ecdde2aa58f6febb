"""What the tags of sentences say: their scheme, their entities, and where they do not keep to the scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks.outputs import Indices
from edgeroberta.tasks.schemes import (
    BEGIN,
    END,
    INSIDE,
    OUTSIDE,
    SINGLE,
    Scheme,
    TagTable,
    default_spans,
    first_units,
    tag_table,
)

#: Tags of words by what they say: a prefix of :mod:`edgeroberta.tasks.schemes`, and the type.
Meaning = tuple[int, str]


@dataclass(frozen=True, eq=False)
class Entities:
    """Entities of sentences whose words are numbered through; ascending."""

    starts: Indices  # int64[e], the first word of each
    lasts: Indices  # int64[e], the last word of each
    types: tuple[str, ...]  # [e]

    def __len__(self) -> int:
        return len(self.starts)


class Tagging:
    """The tags of sentences, one a word, read by their scheme."""

    def __init__(self, tags: Sequence[str], offsets: Indices, context: Sequence[str] = ()) -> None:
        """Take the tags of all words, and where each sentence starts.

        ``context``: labels that say what a prefix is where the tags alone do not: an ``S-`` is one among
        ``B-`` of the same type.
        """
        numbers: dict[str, int] = {}
        self.ids = np.fromiter((numbers.setdefault(tag, len(numbers)) for tag in tags), np.int64, len(tags))
        self.offsets = offsets
        self.names = tuple(numbers)
        self.table = tag_table(self.names)
        if self.table.scheme is not Scheme.BIOES:
            self.table = tag_table((*self.names, *(label for label in context if label not in numbers)))

    @cached_property
    def meanings(self) -> tuple[Meaning, ...]:
        """What each of the names says."""
        return meanings(self.table, len(self.names))

    @cached_property
    def _read(self) -> tuple[Indices, Indices]:
        return self.table.of(self.ids)

    @cached_property
    def _spans(self) -> tuple[Indices, Indices]:
        return default_spans(*self._read, first_units(self.offsets))

    @property
    def entities(self) -> Entities:
        """The entities, as seqeval reads them by default."""
        starts, lasts = self._spans
        kinds = self._read[1][starts]
        return Entities(starts, lasts, tuple(self.table.types[kind] for kind in kinds))

    @cached_property
    def scheme(self) -> Scheme | None:
        """The scheme of the tags; None where there is no entity.

        Of ``B-`` and ``I-``, it is that which more entities begin as.
        """
        present = {prefix for prefix, _ in self.meanings} - {OUTSIDE}
        if not present:
            return None
        if present & {END, SINGLE}:
            return Scheme.BIOES
        if BEGIN not in present:
            return Scheme.IO
        inside, begun = self._begun(INSIDE), self._begun(BEGIN)
        return Scheme.IOB1 if len(inside) > len(begun) else Scheme.IOB2

    def strays(self) -> Indices:
        """Return the first words of the entities that are not written as the scheme has it, int64[…]."""
        starts, lasts = self._spans
        if self.scheme in (Scheme.IOB1, Scheme.IOB2):
            return self._begun(BEGIN if self.scheme is Scheme.IOB1 else INSIDE)
        if self.scheme is not Scheme.BIOES:
            return starts[:0]
        prefix = self._read[0]
        one = starts == lasts
        right = np.where(one, prefix[starts] == SINGLE, (prefix[starts] == BEGIN) & (prefix[lasts] == END))
        return starts[~right]

    def _begun(self, prefix: int) -> Indices:
        """Return the starts that have a prefix, less ``B-`` right after an entity of the same type."""
        starts, lasts = self._spans
        prefixes, kinds = self._read
        before = np.isin(starts - 1, lasts) & ~first_units(self.offsets)[starts]
        touching = before & (kinds[starts - 1] == kinds[starts])
        return starts[(prefixes[starts] == prefix) & ~touching]


def meanings(table: TagTable, count: int) -> tuple[Meaning, ...]:
    """Return what the first ``count`` labels of a table say."""
    pairs = zip(table.prefixes[:count].tolist(), table.kinds[:count].tolist(), strict=True)
    return tuple((prefix, table.types[kind] if kind >= 0 else "") for prefix, kind in pairs)


def written(entities: Entities, total: int, scheme: Scheme) -> npt.NDArray[np.int64]:
    """Tell the prefix of each of ``total`` words in a scheme, int64[total]."""
    prefixes = np.full(total, OUTSIDE, np.int64)
    inside = np.zeros(total + 1, np.int64)
    np.add.at(inside, entities.starts, 1)
    np.add.at(inside, entities.lasts + 1, -1)
    prefixes[np.cumsum(inside)[:-1] > 0] = INSIDE
    if scheme is Scheme.IO:
        return prefixes
    prefixes[entities.starts] = BEGIN
    if scheme is Scheme.BIOES:
        prefixes[entities.lasts] = END
        prefixes[entities.starts[entities.starts == entities.lasts]] = SINGLE
    return prefixes


def types_of(entities: Entities, total: int) -> list[str]:
    """Tell the type of each of ``total`` words, empty outside of entities."""
    types = [""] * total
    for start, last, kind in zip(
        entities.starts.tolist(), entities.lasts.tolist(), entities.types, strict=True
    ):
        types[start : last + 1] = [kind] * (last + 1 - start)
    return types


def by_meaning(labels: Sequence[str]) -> Mapping[Meaning, int]:
    """Return the id of the label that says something, the first of several."""
    found: dict[Meaning, int] = {}
    for number, meaning in enumerate(meanings(tag_table(tuple(labels)), len(labels))):
        found.setdefault(meaning, number)
    return found
