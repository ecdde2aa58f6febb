"""Rows that are lines: a text, or a JSON value, on each; what is wrong with one is wrong with it alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, BinaryIO

from edgeroberta.annotation import reading
from edgeroberta.annotation.blocks import Asked, Block, RecordBlock, TextBlock
from edgeroberta.annotation.pacing import MOST, Pace
from edgeroberta.annotation.reading import SKIP, Reading, Wanted
from edgeroberta.data.delimited import BOM
from edgeroberta.errors import DataError
from edgeroberta.storage import jsontext
from edgeroberta.tasks import Task

_Line = tuple[int, str, "str | DataError"]  # bytes read, place, text


def kilobytes(size: int | None) -> dict[str, Any]:
    """Say how much there is to read of a file whose rows nobody has counted."""
    return {"total": (size or 0) // 1000, "unit": "KB" if size else "rows"}


def lines(file: BinaryIO, source: str) -> Iterator[_Line]:
    """Read lines; one that is not UTF-8 is an error in its place."""
    read = 0
    for number, raw in enumerate(file, 1):
        read += len(raw)
        yield read, f"{source}:{number}", decoded(raw, f"{source}:{number}", first=number == 1)


def decoded(raw: bytes, where: str, *, first: bool) -> str | DataError:
    """Decode a line and take off its end; only line feeds end it: U+2028 and its like are part of a text."""
    try:
        return (raw.removeprefix(BOM) if first else raw).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return DataError(f"not UTF-8 (byte {error.start} of the line)", where=where, hint=SKIP)


def read_lines(file: BinaryIO, source: str, size: int | None, task: Task, wanted: Wanted) -> dict[str, Any]:
    """Open a file of texts; an empty line is an empty text, a pair is two texts with a tab between them."""
    if wanted.text is not None or wanted.text_pair is not None:
        option = "--text" if wanted.text is not None else "--text-pair"
        raise DataError("lines of text have no columns", where=option, hint="leave it out")
    names = reading.line_names(task, pair=wanted.pair)

    def blocks(pace: Pace) -> Iterator[Block]:
        counted = ((len(str(line[2])), line) for line in lines(file, source))
        for part in pace.parts(counted):
            asked = [text_or_pair(text, names, where) for _, where, text in part]
            cells = [cells_of(each, len(names)) for each in asked]
            yield TextBlock(asked, [where for _, where, _ in part], part[-1][0] // 1000, names, cells)

    found = Reading(names[0], names[1] if len(names) > 1 else None)
    return {"names": list(names), "reading": found, "blocks": blocks, **kilobytes(size)}


def text_or_pair(text: str | DataError, names: tuple[str, ...], where: str) -> Asked:
    """Return what a line without columns asks."""
    if isinstance(text, DataError) or len(names) == 1:
        return text
    first, tab, second = text.partition("\t")
    if tab:
        return (first, second)
    kind = "a pair is two texts" if names == reading.LINES[True] else f"a line is {' and '.join(names)}"
    return DataError(f"{kind} with a tab between them; there is no tab", where=where, hint=SKIP)


def cells_of(asked: Asked, count: int) -> list[str | None]:
    """Return the cells of a line; None of one that cannot be read."""
    if isinstance(asked, str):
        return [asked]
    return list(asked) if isinstance(asked, tuple) else [None] * count


def read_jsonl(file: BinaryIO, source: str, size: int | None, task: Task, wanted: Wanted) -> dict[str, Any]:
    """Open JSON Lines: objects with columns, texts, or lists of two texts; empty lines are skipped."""
    found = (
        (read, where, text if isinstance(text, DataError) else value_of(text, where))
        for read, where, text in lines(file, source)
        if not isinstance(text, str) or text.strip()
    )
    opening = list(_opening(found))
    first = next((value for _, _, value in opening if _says(value)), None)
    names = list(first) if isinstance(first, dict) else []
    chosen = None
    if names or (first is not None and (wanted.text is not None or wanted.text_pair is not None)):
        chosen = reading.choose(names, task, wanted.text, wanted.text_pair, source=source)
    reader = JsonReader(task, chosen, named=wanted.text is not None, pair=wanted.pair)

    def blocks(pace: Pace) -> Iterator[Block]:
        counted = (
            (len(str(value)) if isinstance(value, str) else _characters(value), (read, where, value))
            for read, where, value in itertools.chain(opening, found)
        )
        for part in pace.parts(counted):
            pairs = [reader.of(value, where) for _, where, value in part]
            yield RecordBlock(
                [asked for asked, _ in pairs],
                [where for _, where, _ in part],
                part[-1][0] // 1000,
                [record for _, record in pairs],
            )

    return {"names": names or list(reader.names), "reading": chosen, "blocks": blocks, **kilobytes(size)}


def _opening(found: Iterator[tuple[int, str, Any]]) -> Iterator[tuple[int, str, Any]]:
    """Give values up to the first that says what the others are like."""
    for each in itertools.islice(found, MOST):
        yield each
        if _says(each[2]):
            return


def _says(value: Any) -> bool:
    return bool(value) and isinstance(value, str | list | dict)


def value_of(text: str, where: str) -> Any:
    """Read a line of JSON; an error in its place where it is none."""
    try:
        return jsontext.loads(text)
    except ValueError as error:
        return DataError(f"not JSON ({error})", where=where, hint=SKIP)


def _characters(value: Any) -> int:
    if isinstance(value, dict):
        return sum(len(each) for each in value.values() if isinstance(each, str))
    return sum(len(each) for each in value if isinstance(each, str)) if isinstance(value, list) else 0


class JsonReader:
    """Tells what values of JSON Lines ask; each may have a form of its own where no column was named."""

    def __init__(self, task: Task, chosen: Reading | None, *, named: bool, pair: bool) -> None:
        self._task, self._chosen, self._named = task, chosen, named
        self.names = reading.line_names(task, pair=pair)
        self._pair = pair

    def of(self, value: Any, where: str) -> tuple[Asked, dict[str, Any]]:
        """Return what a value asks, and the object that is written for it."""
        if isinstance(value, DataError):
            return value, {}
        if isinstance(value, dict):
            chosen = self._of_object(value)
            return chosen.of(value.get(chosen.text), value.get(chosen.pair or ""), where), value
        texts = value if isinstance(value, list) else [value]
        names = self.names
        if self._task.apart and not self._pair:
            names = reading.LINES[len(texts) == 2]
        if len(texts) != len(names) or not all(isinstance(text, str) for text in texts):
            return DataError(self._wanted(), where=where, hint=SKIP), {}
        asked: Asked = texts[0] if len(texts) == 1 else (texts[0], texts[1])
        return asked, dict(zip(names, texts, strict=True))

    def _of_object(self, value: dict[str, Any]) -> Reading:
        """Return which fields of an object are read: those chosen, of an embedding model also one of two."""
        chosen = self._chosen or Reading(self.names[0], self.names[1] if len(self.names) > 1 else None)
        if not self._task.apart or self._named or self._pair:
            return chosen
        first, second = chosen.text, chosen.pair or reading.LINES[True][1]
        return Reading(first, second if value.get(second) is not None else None)

    def _wanted(self) -> str:
        if len(self.names) == 1:
            return f'each line is a text, or an object with the field "{self.names[0]}"'
        named = " and ".join(f'"{name}"' for name in self.names)
        return f"each line is a list of two texts, or an object with the fields {named}"
