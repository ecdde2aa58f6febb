"""Spans of a text: what is refused in them, and the words that a text with spans is made of."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError, shown

#: Keys by which a span tells its start, its end and its label, first match first.
_KEYS = (
    ("start", "start_offset", "start_position", "begin"),
    ("end", "end_offset", "end_position", "stop"),
    ("label", "entity_type", "entity_group", "entity", "type", "tag"),
)
_EXAMPLE = 'e.g. {"start": 0, "end": 4, "label": "PER"}'
_WORD = re.compile(r"\w+|[^\w\s]")
#: A tag in the place of a label; E-MAIL is a label.
_PREFIX = re.compile(r"[BI]-.")


class Span(NamedTuple):
    """Part of a text: its first character, the one after its last, and its label."""

    start: int
    end: int
    label: str


def read(cell: Any, text: str, table: DataTable, row: int, column: str) -> list[Span]:
    """Read the spans of a text, in its order, without the white space at their ends.

    ``cell``: a list of mappings or of ``[start, end, label]``, a mapping of such lists, or None for no span.
    Raises DataError: a span is no span, is empty, lies beyond the text, overlaps another, or brings a copy of
    its characters (``text``) that is not what stands there.
    """
    listed = _listed(cell, table, row, column)
    found = [_span(each, table, row, column) for each in listed]
    for each, written in zip(found, listed, strict=True):
        _check(each, text, table, row)
        _check_copy(each, written, text, table, row)
    found.sort()
    for first, second in itertools.pairwise(found):
        if second.start < first.end:
            raise _wrong(
                f"{_named(first, text)} and {_named(second, text)} overlap",
                table,
                row,
                "a word has one label: keep one of the two",
            )
    return [_trimmed(each, text) for each in found]


def words(text: str, spans: Iterable[Span]) -> list[tuple[int, int]]:
    r"""Cut a text into words: runs of ``\w`` and single other characters, cut where spans begin and end."""
    cuts = sorted({0, len(text), *(place for each in spans for place in each[:2])})
    return [
        found.span() for start, end in itertools.pairwise(cuts) for found in _WORD.finditer(text, start, end)
    ]


def _listed(cell: Any, table: DataTable, row: int, column: str) -> Sequence[Any]:
    if cell is None:
        return ()
    if isinstance(cell, Mapping) and all(isinstance(each, list) for each in cell.values()):
        if len({len(each) for each in cell.values()}) > 1:
            raise _wrong(f"lists of different lengths in column {column!r}", table, row, _EXAMPLE)
        return [dict(zip(cell, each, strict=True)) for each in zip(*cell.values(), strict=True)]
    if isinstance(cell, list | tuple):
        return cell
    raise _wrong(f"{shown(cell)} in column {column!r} is no list of spans", table, row, f"[…], {_EXAMPLE}")


def _span(each: Any, table: DataTable, row: int, column: str) -> Span:
    if isinstance(each, Mapping):
        values = [_value(each, keys, table, row) for keys in _KEYS]
    elif isinstance(each, list | tuple) and len(each) == 3:
        values = list(each)
    else:
        raise _wrong(f"{shown(each)} in column {column!r} is no span", table, row, _EXAMPLE)
    start, end, label = values
    for what, place in (("start", start), ("end", end)):
        if isinstance(place, float) and place.is_integer():
            place = int(place)
        if not isinstance(place, int) or isinstance(place, bool):
            raise _wrong(f"{shown(place)} is no {what} of a span", table, row, "count characters from 0")
    if not isinstance(label, str) or not label.strip():
        raise _wrong(f"{shown(label)} is no label of a span", table, row, f"name it, {_EXAMPLE}")
    if label.strip() == "O":
        hint = "O says that a word belongs to no entity: delete the span, or rename the label"
        raise _wrong("'O' is no label of a span", table, row, hint)
    if _PREFIX.match(label):
        raise _wrong(
            f"the label {shown(label)} of a span has a prefix",
            table,
            row,
            f"a span has both its ends: write {label[2:]!r}",
        )
    return Span(int(start), int(end), label.strip())


def _value(each: Mapping[str, Any], keys: Sequence[str], table: DataTable, row: int) -> Any:
    for key in keys:
        if key in each:
            return each[key]
    raise _wrong(f"the span {shown(dict(each))} has no {keys[0]!r}", table, row, _EXAMPLE)


def _check(each: Span, text: str, table: DataTable, row: int) -> None:
    if each.start < 0 or each.end > len(text):
        span = f"the span {each.start} to {each.end} ({each.label})"
        what = f"{span} lies beyond the text of {len(text)} characters"
        hint = "start counts characters from 0, end is the one after the last"
        wide = sum(ord(char) > 0xFFFF for char in text)
        if 0 < each.end - len(text) <= wide:
            hint += "; these seem to count UTF-16 units: an emoji is one character, not two"
        raise _wrong(what, table, row, hint)
    if each.start >= each.end:
        what = f"the span {each.start} to {each.end} ({each.label}) is empty"
        raise _wrong(what, table, row, "end is the character after the last one")
    if not text[each.start : each.end].strip():
        what = f"the span {each.start} to {each.end} ({each.label}) holds white space only"
        raise _wrong(what, table, row, "delete it, or correct its ends")


def _check_copy(each: Span, written: Any, text: str, table: DataTable, row: int) -> None:
    copy = written.get("text") if isinstance(written, Mapping) else None
    inside = text[each.start : each.end]
    if not isinstance(copy, str) or copy.split() == inside.split():
        return
    what = f"the span {each.start} to {each.end} ({each.label}) is {shown(inside)}, but says {shown(copy)}"
    hint = "start counts characters from 0, not bytes or words, and end is the one after the last"
    raise _wrong(what, table, row, hint)


def _trimmed(each: Span, text: str) -> Span:
    inside = text[each.start : each.end]
    start = each.start + len(inside) - len(inside.lstrip())
    return Span(start, start + len(inside.strip()), each.label)


def _named(each: Span, text: str) -> str:
    return f"{shown(text[each.start : each.end])} ({each.label}, {each.start} to {each.end})"


def _wrong(what: str, table: DataTable, row: int, hint: str) -> DataError:
    return DataError(what, where=table.where(row), hint=hint, code="data.spans")
