"""Reads texts to answer from a file: one per line, or JSON Lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from edgeroberta.errors import DataError, UsageError
from edgeroberta.runtime.encoding import Input
from edgeroberta.storage import jsontext

STDIN = "-"
#: Fields of an object, by whether it is a pair, and those of a question.
_FIELDS = {False: ("text",), True: ("text", "text_pair")}
QUESTION = ("question", "context")


def pair_up(texts: Sequence[str]) -> list[Input]:
    """Make pairs of the words of a command line: the first with the second, and so on."""
    if len(texts) % 2:
        raise UsageError(f"--pair takes texts two by two, but there are {len(texts)}", where="TEXT")
    return list(zip(texts[::2], texts[1::2], strict=True))


def read(
    file: Path, *, pair: bool, fields: tuple[str, ...] | None = None, either: bool = False
) -> Iterator[Input]:
    """Read inputs one by one, in constant memory.

    ``file``: UTF-8. ``.jsonl``: a JSON value per line, namely a text, a list of two, or an object with
    ``text`` and ``text_pair``. Anything else: a text per line, an empty line being an empty text; a pair is
    two texts with a tab between them. ``-`` is standard input. ``pair``: True when an input is two texts.
    ``fields``: names of an object's fields where they are others, such as :data:`QUESTION`. ``either``: a
    line of ``.jsonl`` may be of one text or of two, whatever ``pair`` says.
    Raises DataError: the file cannot be read, or a line is malformed.
    """
    parse, fields = _from_text, fields or _FIELDS[pair]
    if file.suffix == ".jsonl":
        parse = _either_from_json if either else _from_json
    try:
        with _open(file) as handle:
            for number, raw in enumerate(handle, 1):
                where = f"{file}:{number}"
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"not UTF-8 (byte {error.start} of the line)", where=where, hint="save it as UTF-8"
                    ) from error
                # Only these end a line: U+2028 and its like are part of a text.
                yield parse(line.rstrip("\r\n"), fields, where)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(file)) from error


def _open(file: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if str(file) == STDIN else file.open("rb")


def _from_text(line: str, fields: tuple[str, ...], where: str) -> Input:
    if len(fields) == 1:
        return line
    first, tab, second = line.partition("\t")
    if not tab:
        kind = "a pair is two texts" if fields == _FIELDS[True] else f"a line is {' and '.join(fields)}"
        raise DataError(f"{kind} with a tab between them; there is no tab", where=where)
    return (first, second)


def _either_from_json(line: str, fields: tuple[str, ...], where: str) -> Input:
    value = _loads(line, where)
    two = value.get(_FIELDS[True][1]) is not None if isinstance(value, dict) else isinstance(value, list)
    return _from_value(value, _FIELDS[True] if two else _FIELDS[False], where)


def _from_json(line: str, fields: tuple[str, ...], where: str) -> Input:
    return _from_value(_loads(line, where), fields, where)


def _loads(line: str, where: str) -> Any:
    try:
        return jsontext.loads(line)
    except ValueError as error:
        raise DataError(f"not JSON ({error})", where=where) from error


def _from_value(value: Any, fields: tuple[str, ...], where: str) -> Input:
    if isinstance(value, dict):
        found = [value.get(name) for name in fields]
        value = found if len(fields) > 1 else found[0]
    if len(fields) == 1:
        if isinstance(value, str):
            return value
        raise DataError(f'each line is a text, or an object with the field "{fields[0]}"', where=where)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value):
        return (value[0], value[1])
    named = " and ".join(f'"{name}"' for name in fields)
    raise DataError(f"each line is a list of two texts, or an object with the fields {named}", where=where)
