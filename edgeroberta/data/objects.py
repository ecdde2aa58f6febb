"""JSON objects, one a line or all in one array."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from edgeroberta.data.delimited import lines
from edgeroberta.errors import DataError


def whole(parts: Iterator[str], *, several_lines: bool) -> tuple[Any, Iterator[str]]:
    """Read a file that is one list, or one object over several lines or with a field ``data``.

    ``several_lines``: whether an object may go on after its first line; where not, a file of objects is never
    held as a whole. Returns what it is, or None for any other file; and the parts, to be read again.
    """
    opening = list(itertools.islice(parts, 1))
    while opening and not opening[-1].strip() and (more := next(parts, None)) is not None:
        opening.append(more)
    first = opening[-1].lstrip() if opening else ""
    if not first.startswith(("[", "{")) or (
        first.startswith("{") and not _begins_document(first, several_lines)
    ):
        return None, itertools.chain(opening, parts)
    lines_ = [*opening, *parts]
    try:
        return json.loads("".join(lines_), object_pairs_hook=_unique), iter(lines_)
    except (ValueError, RecursionError):  # what is wrong its reader tells
        return None, iter(lines_)


def _begins_document(line: str, several_lines: bool) -> bool:
    """Tell an object that goes on after its first line, or is a whole data set, from one on each line."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return several_lines
    return isinstance(found, dict) and isinstance(found.get("data"), list | dict)


def records(parts: Iterator[str], source: str) -> tuple[bool, Iterator[tuple[int, dict[str, Any]]]]:
    """Read a file's objects with their lines (from 1) or places (from 0), and tell which of the two it is."""
    opening = list(itertools.islice(parts, 1))
    while opening and not opening[-1].strip() and (more := next(parts, None)) is not None:
        opening.append(more)
    parts = itertools.chain(opening, parts)
    if opening and opening[-1].lstrip().startswith("["):
        return False, _elements("".join(parts), source)
    return True, _lines(parts, source)


def _elements(content: str, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, record in enumerate(_parsed(content, source)):
        if not isinstance(record, dict):
            raise _no_object(f"{source}: row {number + 1}")
        yield number, record


def _lines(parts: Iterator[str], source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in lines(parts):
        if not content.strip():
            continue
        where = f"{source}:{line}"
        record = _parsed(content, where)
        if not isinstance(record, dict):
            raise _no_object(where)
        yield line, record


def _parsed(content: str, where: str) -> Any:
    try:
        return json.loads(content, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        what = f"not valid JSON: {error.msg} at {line}column {error.colno}"
        hint = "write one JSON object per line, or all of them in one array"
        raise DataError(what, where=where, hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON: {error}", where=where) from error


def _no_object(where: str) -> DataError:
    hint = 'write one JSON object per line, e.g. {"text": "fine", "label": "positive"}'
    return DataError("a JSON object is needed for every row", where=where, hint=hint)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        repeated = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {repeated!r} is there twice")
    return record
