"""Where an answer stands in its context, and what is wrong where it does not stand there."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import shown

#: Places that are told of an answer that is elsewhere.
_SHOWN = 3
_LEAVE_OUT = "or leave answer_start out of all: the first place is taken then"


@dataclass(frozen=True)
class Misplaced:
    """What is wrong with an answer."""

    what: str
    hint: str


def place(context: str, answer: Any, start: Any) -> tuple[int, int] | Misplaced:
    """Return the first character of an answer in its context and the one after its last.

    ``start``: where it is said to begin, in characters; None to look for it. Returns what is wrong where it
    is not there.
    """
    if not isinstance(answer, str):
        return Misplaced(f"the answer is {shown(answer)}, not a text", "write its characters, in quotes")
    if not answer.strip():
        return Misplaced("an empty answer", "a question without an answer has none: []")
    begin: int | None
    if start is None:
        begin = context.find(answer)
        return (begin, begin + len(answer)) if begin >= 0 else _nowhere(context, answer)
    begin = _number(start)
    if begin is None:
        hint = "the number of characters before the answer in the context"
        return Misplaced(f"answer_start is {shown(start)}, not a whole number", hint)
    if begin >= 0 and context.startswith(answer, begin):
        return begin, begin + len(answer)
    return _elsewhere(context, answer, begin)


def count(context: str, answer: str) -> int:
    """Return at how many places an answer stands."""
    return sum(1 for _ in _all(context, answer))


def _number(start: Any) -> int | None:
    """Read a whole number, also one that a table has as text or with a point."""
    if isinstance(start, bool) or not isinstance(start, int | float | str):
        return None
    try:
        value = float(start)
        return int(start) if isinstance(start, int) else int(value) if value.is_integer() else None
    except (ValueError, OverflowError):
        return None


def _elsewhere(context: str, answer: str, start: int) -> Misplaced:
    there = shown(context[start : start + len(answer)]) if start < len(context) else "the end"
    what = f"{shown(answer)} is not at character {start} of the context, where {there} is"
    if start < 0:
        what = f"answer_start of {shown(answer)} is {start}, and characters are counted from 0"
    elif (begin := _in_units(context, answer, start, "utf-8", 1)) is not None:
        return Misplaced(
            f"{what}: {start} counts bytes of UTF-8, as characters it is {begin}",
            "count characters: len(raw[:start].decode()) of the context's bytes",
        )
    elif (begin := _in_units(context, answer, start, "utf-16-le", 2)) is not None:
        return Misplaced(
            f"{what}: {start} counts units of UTF-16, of which an emoji has two, as characters it is {begin}",
            "count characters (code points), not what JavaScript and Java count",
        )
    places = list(itertools.islice(_all(context, answer), _SHOWN + 1))
    if not places:
        found = _nowhere(context, answer)
        return Misplaced(f"{what}; {found.what}", found.hint)
    told = ", ".join(map(str, places[:_SHOWN])) + (", …" if len(places) > _SHOWN else "")
    return Misplaced(f"{what}; it is at {told}", f"put answer_start right; {_LEAVE_OUT}")


def _in_units(context: str, answer: str, start: int, encoding: str, width: int) -> int | None:
    """Return the character at which an answer begins if its start counts bytes or other units."""
    data, wanted = context.encode(encoding, "surrogatepass"), answer.encode(encoding, "surrogatepass")
    if not data.startswith(wanted, start * width):
        return None
    begin = len(data[: start * width].decode(encoding, "ignore"))
    return begin if begin != start else None


def _nowhere(context: str, answer: str) -> Misplaced:
    """Say that an answer is not in its context, and what is there that looks like it."""
    what = f"{shown(answer)} is nowhere in the context"
    for alike, how in (
        (str.casefold, "upper and lower case"),
        (lambda text: " ".join(text.split()), "white space"),
        (lambda text: unicodedata.normalize("NFKC", text), "full-width or composed characters"),
    ):
        if alike(answer) in alike(context):
            return Misplaced(f"{what}; but for {how} it is there", "write it as the context does")
    return Misplaced(what, "an answer is a part of its context, character by character")


def _all(context: str, answer: str) -> Iterator[int]:
    begin = context.find(answer)
    while begin >= 0:
        yield begin
        begin = context.find(answer, begin + 1)
