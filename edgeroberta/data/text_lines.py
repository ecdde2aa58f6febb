"""Lines of text files of any size, some MB at a time, and the documents that lines make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from edgeroberta.data.delimited import BOM, decoded
from edgeroberta.errors import DataError

#: Bytes read at a time.
BLOCK = 1 << 22
#: Characters of a document; a longer one is cut into several. A book has about as many.
LONGEST = 1 << 20
#: A blank line at least for so many others, at the start of a file, means that blank lines separate
#: documents: a file with a document per line has hardly any.
_LINES_PER_BLANK = 50
#: From here on, characters are of scripts that put no space between words (CJK radicals, U+2E80).
_SPACELESS = "\u2e80"


def blocks(path: Path, *, source: str) -> Iterator[list[str]]:
    r"""Read a file's lines without their ends (``\n``, ``\r\n`` or ``\r``), blank ones included.

    A line that is longer than ``BLOCK`` comes in parts, cut behind a space where there is one. Yields the
    lines of some MB, so that memory does not grow with the file. Raises DataError: the file is missing,
    empty, or not UTF-8.
    """
    if not path.is_file():
        raise DataError("no such file or folder", where=source, hint="check the path", code="data.not-found")
    try:
        if not path.stat().st_size:
            raise DataError("the file is empty", where=source)
        with path.open("rb") as file:
            yield from _lines(file)
    except UnicodeDecodeError:
        with path.open("rb") as file:
            for _ in decoded(file, source):  # it raises the error that says where
                pass
        raise
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=source) from error


def _lines(file: BinaryIO) -> Iterator[list[str]]:
    rest = file.read(len(BOM)).removeprefix(BOM)
    while block := file.read(BLOCK):
        rest += block
        cut = rest.rfind(b"\n") + 1
        if not cut and len(rest) >= BLOCK:
            cut = rest.rfind(b"\r", 0, len(rest) - 1) + 1 or _within(rest)
        if cut:
            yield _cut(rest[:cut])
            rest = rest[cut:]
    if rest:
        yield _cut(rest)


def _cut(data: bytes) -> list[str]:
    text = data.decode("utf-8").removesuffix("\n")
    if "\r" in text:
        text = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def _within(data: bytes) -> int:
    """Return where to cut inside a line: behind its last space, or between two characters."""
    space = data.rfind(b" ", len(data) // 2) + 1
    if space:
        return space
    # Of a character of several bytes, those after the first are 0b10xxxxxx; there are at most three.
    return next((at for at in range(len(data) - 1, len(data) - 5, -1) if data[at] & 0xC0 != 0x80), len(data))


def rows(parts: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """Make each line a document; blank ones are none."""
    for part in parts:
        if kept := [line for line in part if line and not line.isspace()]:
            yield kept


def paragraphs(parts: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """Make the lines between two blank lines a document, joined by spaces, or by nothing in Chinese."""
    lines: list[str] = []
    size = 0
    for part in parts:
        found: list[str] = []
        for line in part:
            blank = not line or line.isspace()
            if lines and (blank or size > LONGEST):
                found.append(_joined(lines))
                lines, size = [], 0
            if not blank:
                lines.append(line)
                size += len(line)
        if found:
            yield found
    if lines:
        yield [_joined(lines)]


def _joined(lines: Sequence[str]) -> str:
    if len(lines) == 1:
        return lines[0]
    text = lines[0].rstrip()
    parts = [text]
    for line in map(str.strip, lines[1:]):
        spaceless = parts[-1][-1:] >= _SPACELESS and line[:1] >= _SPACELESS
        parts.append(line if spaceless else f" {line}")
    return "".join(parts)


def told(parts: Iterator[list[str]]) -> tuple[bool, Iterator[list[str]]]:
    """Tell whether blank lines separate documents, by the first MB; and return the parts again."""
    first = next(parts, [])
    blank = [not line or line.isspace() for line in first]
    while blank and blank[-1]:
        blank.pop()
    blank = blank[blank.index(False) :] if blank else blank  # those before the first line separate nothing
    separated = sum(blank) * _LINES_PER_BLANK >= len(blank) - sum(blank) and any(blank)
    return separated, chain((first,), parts)


def pieces(texts: list[str]) -> list[str]:
    """Cut documents that are too long for memory, behind a space where there is one."""
    if max(map(len, texts), default=0) <= LONGEST:
        return texts
    return [piece for text in texts for piece in _pieces(text)]


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > LONGEST:
        end = text.rfind(" ", start + LONGEST // 2, start + LONGEST) + 1 or start + LONGEST
        yield text[start:end]
        start = end
    if text[start:].strip():
        yield text[start:]
