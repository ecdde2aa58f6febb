"""Which slices are asked for: by columns of the data, by length, by label, by words from lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.evaluation.slices import word_lists
from edgeroberta.tasks import Word

_WHERE = "--slices"
_FORMS = "column=NAME, length, length=40,120, label or words=FILE"


class SliceKind(Word):
    """What rows are told apart by."""

    COLUMN = "column"  #: the values of a column of the data
    LENGTH = "length"  #: the number of characters
    LABEL = "label"  #: the true label, or the labels and types of entity that a text has
    WORDS = "words"  #: whether a text has one of the words of a list


@dataclass(frozen=True)
class SlicesAsked:
    """What rows are told apart by; none of it says nothing is asked."""

    columns: tuple[str, ...] = ()  # columns of the data, a slice for each of their values
    length: bool = False  # whether rows are told apart by their number of characters
    edges: tuple[
        int, ...
    ] = ()  # characters from which on the next slice begins; none for quarters of the rows
    label: bool = False  # whether by label
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # words of each list, by its name

    def __bool__(self) -> bool:
        return bool(self.columns or self.length or self.label or self.words)

    @classmethod
    def from_json(cls, given: Any) -> SlicesAsked:
        """Read what a report keeps; raises TypeError, KeyError or ValueError: it is something else."""
        return cls(
            columns=tuple(map(str, given["columns"])),
            length=bool(given["length"]),
            edges=tuple(map(int, given["edges"])),
            label=bool(given["label"]),
            words={str(name): tuple(map(str, words)) for name, words in given["words"].items()},
        )


def parse(texts: Iterable[str]) -> SlicesAsked:
    """Read what ``--slices`` says, such as ``column=dialect``, ``length`` or ``words=names.txt``.

    Raises UsageError: it is something else, or the same twice; DataError: a file of words cannot be used.
    """
    columns: list[str] = []
    given: dict[SliceKind, str] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        kind = _kind(name.strip())
        value = value.strip()
        needs = kind in (SliceKind.COLUMN, SliceKind.WORDS)
        if bool(value) is not bool(mark) or (needs and not value) or (kind is SliceKind.LABEL and value):
            raise _wrong(f"{text!r} is no slice", f"one of {_FORMS}")
        if value in columns if kind is SliceKind.COLUMN else kind in given:
            raise _wrong(f"slices by {kind} are asked for twice ({text!r})", "leave one of them out")
        if kind is SliceKind.COLUMN:
            columns.append(value)
        else:
            given[kind] = value
    words = given.get(SliceKind.WORDS)
    return SlicesAsked(
        columns=tuple(columns),
        length=SliceKind.LENGTH in given,
        edges=_checked(_numbers(given.get(SliceKind.LENGTH, ""))),
        label=SliceKind.LABEL in given,
        words={} if words is None else word_lists.read(Path(words)),
    )


def _checked(edges: tuple[int, ...]) -> tuple[int, ...]:
    """Return the characters from which on slices begin; refuse those that do not rise."""
    if not rising(edges):
        raise _wrong(
            f"slices by length begin at {', '.join(map(str, edges))} characters",
            "give numbers from 2 on, each larger than the one before: length=40,120",
        )
    return edges


def rising(edges: tuple[int, ...]) -> bool:
    """Tell whether each of the numbers is larger than the one before, and the first than one."""
    return all(low < high for low, high in zip((1, *edges), edges, strict=False))


def _kind(name: str) -> SliceKind:
    if name not in [kind.value for kind in SliceKind]:
        near = did_you_mean(name, [kind.value for kind in SliceKind])
        raise _wrong(f"there are no slices by {name!r}", f"{near or ''} one of {_FORMS}".strip())
    return SliceKind(name)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(",")) if text else ()
    except ValueError as error:
        raise _wrong(
            f"{text!r} are no numbers of characters", "length=40,120, or length alone for quarters"
        ) from error


def _wrong(what: str, hint: str) -> UsageError:
    return UsageError(what, where=_WHERE, hint=hint, code="usage.slices")
