"""What a model gives for texts: rows of numbers, one per text for a classifier, one per token for others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Self = TypeVar("Self", bound="Ragged")

#: Columns of :attr:`Ragged.places`.
START, END, WORD = range(3)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Values of the units of texts, packed one text after the other."""

    values: npt.NDArray[Any]  # ``[total, …]``
    offsets: Indices  # int64 ``[texts + 1]``, where each text's units start; the last entry is the total
    #: int64 ``[total, 3]``: first character of each unit in its text, the one after its last, and the number
    #: of its word, -1 for units that stand for no characters (special tokens); None where the unit is the
    #: text, or nobody knows
    places: Indices | None = None

    @classmethod
    def of_texts(cls: type[Self], values: npt.NDArray[Any]) -> Self:
        """Take one row of values per text, ``[texts, …]``."""
        return cls(values, np.arange(len(values) + 1, dtype=np.int64))

    @classmethod
    def pack(
        cls: type[Self], values: Sequence[npt.NDArray[Any]], places: Sequence[Indices] | None = None
    ) -> Self:
        """Pack at least one text's values ``[units, …]`` each, and their places int64 ``[units, 3]``."""
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return cls(np.concatenate(values), offsets, None if places is None else np.concatenate(places))

    @classmethod
    def concatenate(cls: type[Self], parts: Iterable[Self]) -> Self:
        """Put the texts of several, at least one, one after the other."""
        found = list(parts)
        starts = np.cumsum([0, *(part.offsets[-1] for part in found)])
        offsets = [part.offsets[:-1] + start for part, start in zip(found, starts, strict=False)]
        places = [part.places for part in found if part.places is not None]
        if len(places) not in (0, len(found)):
            raise ValueError("some of them have places and some have none")
        return cls(
            np.concatenate([part.values for part in found]),
            np.concatenate([*offsets, starts[-1:]]).astype(np.int64),
            np.concatenate(places) if places else None,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Indices:
        """Units of each text, int64 ``[texts]``."""
        return np.diff(self.offsets)

    @property
    def per_text(self) -> bool:
        """True where each text has one row of values and no place: the unit is the text."""
        return self.places is None and len(self.values) == len(self)

    @property
    def texts(self) -> Indices:
        """The number of the text that each unit belongs to, int64 ``[total]``."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def __getitem__(self: Self, rows: Sequence[int] | npt.NDArray[Any] | slice) -> Self:
        """Choose texts, as an array's rows are chosen: by numbers, a mask or a slice."""
        chosen = np.arange(len(self))[rows]
        starts, lengths = self.offsets[chosen], self.lengths[chosen]
        ends = np.cumsum(lengths)
        units = np.arange(int(lengths.sum())) + np.repeat(starts - ends + lengths, lengths)
        offsets = np.concatenate([np.zeros(1, np.int64), ends])
        return type(self)(self.values[units], offsets, None if self.places is None else self.places[units])

    def part(self, row: int) -> tuple[npt.NDArray[Any], Indices | None]:
        """Return one text's values ``[units, …]`` and their places."""
        units = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return self.values[units], None if self.places is None else self.places[units]


@dataclass(frozen=True, eq=False)
class Outputs(Ragged):
    """What a model gives: ``values`` are float32 ``[total, L]``, one row per text or per token."""

    #: int64 ``[texts]``, number of the tier that answered each text, from 0 on; None where no cascade did
    tiers: Indices | None = None

    def __getitem__(self, rows: Sequence[int] | npt.NDArray[Any] | slice) -> Outputs:
        """Choose texts, as an array's rows are chosen."""
        tiers = None if self.tiers is None else self.tiers[rows]
        return replace(super().__getitem__(rows), tiers=tiers)

    @classmethod
    def concatenate(cls, parts: Iterable[Outputs]) -> Outputs:
        """Put the texts of several, at least one, one after the other."""
        given = list(parts)
        tiers = [part.tiers for part in given if part.tiers is not None]
        found = super().concatenate(given)
        return replace(found, tiers=np.concatenate(tiers) if len(tiers) == len(given) else None)

    def broken(self) -> Indices:
        """Return the texts of which a number is not finite, ascending."""
        return np.unique(self.texts[~np.isfinite(self.values).all(axis=1)])

    def save(self, file: Any) -> None:
        """Write to a file, as ``.npz`` without pickles."""
        arrays: dict[str, Any] = {"values": self.values, "offsets": self.offsets}
        for name in ("places", "tiers"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        np.savez(file, **arrays)

    @classmethod
    def load(cls, file: Any) -> Outputs:
        """Read what :meth:`save` wrote; what numpy raises on damage passes through."""
        with np.load(file, allow_pickle=False) as found:
            return cls(found["values"], found["offsets"], found.get("places"), found.get("tiers"))


@dataclass(frozen=True, eq=False)
class WordTags(Ragged):
    """The true tags of texts: ``values`` are int64 ``[total]``, one label id a word, ``places`` their spans.

    The id is -1 where a word's tag is not known.
    """

    #: which tokens of a word training gives its label: "first" where the data is made of words, "all" where
    #: it is made of texts and spans
    labelled: str = "first"

    def __getitem__(self, rows: Sequence[int] | npt.NDArray[Any] | slice) -> WordTags:
        """Choose texts, as an array's rows are chosen."""
        return replace(super().__getitem__(rows), labelled=self.labelled)


class MaskedTokens(Ragged):
    """The true tokens of masks: ``values`` are int64 ``[total]``, one token id a mask, in their order."""


@dataclass(frozen=True, eq=False)
class AnswerSpans(Ragged):
    """The true answers of questions: ``values`` are int64 ``[total, 2]``, the characters of each.

    First character in the context of the question, and the one after the last; a question without answers
    has none in its context.
    """

    contexts: tuple[str, ...] = ()  # the text that each question is asked of
    #: what each context is a part of, such as the title of an article, or the context itself: rows of one
    #: document are all trained on, or all measured on
    documents: tuple[str, ...] = ()

    def __getitem__(self, rows: Sequence[int] | npt.NDArray[Any] | slice) -> AnswerSpans:
        """Choose questions, as an array's rows are chosen."""
        chosen = np.arange(len(self))[rows].tolist()
        contexts, documents = (tuple(each[row] for row in chosen) for each in (self.contexts, self.documents))
        return replace(super().__getitem__(rows), contexts=contexts, documents=documents)


def as_outputs(found: Outputs | npt.NDArray[Any]) -> Outputs:
    """Take logits float32 ``[texts, L]`` for outputs of one row per text; outputs stay as they are."""
    return found if isinstance(found, Outputs) else Outputs.of_texts(found)
