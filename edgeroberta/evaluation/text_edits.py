"""A text and what was changed in it, and which characters of the one are which of the other."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Edit:
    """Characters of a text, and what stands in their place."""

    start: int  # the first of them
    end: int  # the one after the last
    new: str


@dataclass(frozen=True)
class EditedText:
    """A text with some characters replaced."""

    original: str
    edits: tuple[Edit, ...] = ()  # in the order of the text; none overlap

    @classmethod
    def of(cls, original: str, edits: Iterable[Edit]) -> EditedText:
        """Take those edits that change something."""
        return cls(original, tuple(each for each in edits if original[each.start : each.end] != each.new))

    @cached_property
    def text(self) -> str:
        """The changed text."""
        parts, at = [], 0
        for edit in self.edits:
            parts += [self.original[at : edit.start], edit.new]
            at = edit.end
        return "".join([*parts, self.original[at:]])

    def forth(self, start: int, end: int) -> tuple[int, int]:
        """Return where characters ``start`` to ``end`` of the original are in the changed text.

        Of a replaced part all belongs to what any of its characters belonged to. The two are the same where
        nothing is left of them.
        """
        return _moved(self._pieces, start, end)

    def back(self, start: int, end: int) -> tuple[int, int]:
        """Return where characters ``start`` to ``end`` of the changed text were in the original."""
        return _moved([(c, d, a, b) for a, b, c, d in self._pieces], start, end)

    @cached_property
    def _pieces(self) -> list[tuple[int, int, int, int]]:
        """Each edit's start and end in the original, and in the changed text."""
        found, shift = [], 0
        for edit in self.edits:
            start = edit.start + shift
            found.append((edit.start, edit.end, start, start + len(edit.new)))
            shift += len(edit.new) - (edit.end - edit.start)
        return found


def _moved(pieces: list[tuple[int, int, int, int]], start: int, end: int) -> tuple[int, int]:
    if start == end:
        place = _place(pieces, start, after=False)
        return place, place
    first, last = _place(pieces, start, after=False), _place(pieces, end, after=True)
    return first, max(first, last)


def _place(pieces: list[tuple[int, int, int, int]], at: int, *, after: bool) -> int:
    """Move one border; within a replaced part it becomes the part's first border, or its last."""
    # What begins at a border is beyond the end of a range, and before its start if it has no length.
    number = bisect.bisect_right([start for start, *_ in pieces], at - 1) - 1
    following = pieces[number + 1 : number + 2]
    if not after and following and following[0][:2] == (at, at):
        return following[0][3]
    if number < 0:
        return at
    start, end, new_start, new_end = pieces[number]
    if at >= end:
        return at - end + new_end
    if end - start == new_end - new_start:  # character by character
        return at - start + new_start
    return new_end if after else new_start
