"""Answers lines as they are appended: to a file, to the files of a folder, or to standard input.

A file is looked at again and again, as ``tail -F`` does where the system tells nothing: that works on every
file system, and costs one call of ``stat``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from edgeroberta.annotation import reading
from edgeroberta.annotation.answering import answer
from edgeroberta.annotation.blocks import Asked
from edgeroberta.annotation.formats import STDIN, Format, of_file
from edgeroberta.annotation.line_sources import JsonReader, decoded, text_or_pair, value_of
from edgeroberta.annotation.reading import Wanted
from edgeroberta.errors import DataError, EdgeRobertaError, UsageError
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.answers import Said
from edgeroberta.runtime.embedding_texts import Prompt
from edgeroberta.runtime.encoding import Input

logger = logging.getLogger(__name__)

#: Seconds between two looks: soon enough for people, and 0.1 % of a small board's core.
INTERVAL = 0.25
#: Formats whose rows are lines.
_FORMATS = (Format.TXT, Format.JSONL)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Watched:
    """A line that was appended, and its answer; of a line that has none, why."""

    where: str  # file and line
    input: Input | None  # what it asks; None where it cannot be read
    answer: Said | None = None
    error: EdgeRobertaError | None = None


_Line = tuple[str, bytes]  # place, bytes with their end


def watch(
    runtime: Runtime, path: str, wanted: Wanted, *, prompt: Prompt = None, interval: float = INTERVAL
) -> Iterator[Watched]:
    """Answer lines from now on, until the caller stops asking; a line ends with a line feed.

    ``path``: a file, which need not be there yet; a folder, of whose files with lines each is watched; or
    ``-`` for standard input, the only one that ends. What is there already is not answered, but for a last
    line that is not ended; a file that comes, or replaces another, is read from its first line.
    """
    folder = path != STDIN and Path(path).is_dir()
    format_ = wanted.format or (Format.TXT if path == STDIN else None)
    if not folder and (format_ or of_file(path, "--format")) not in _FORMATS:
        raise UsageError(
            "only files of lines are watched: texts, or JSON Lines",
            where=path,
            hint="edgeroberta run BUNDLE FILE -o OUTPUT answers a table",
        )
    with contextlib.closing(
        _typed() if path == STDIN else _appended(Path(path), interval, folder=folder)
    ) as rounds:
        for found in rounds:
            asked = [_asked(runtime, raw, where, wanted, format_) for where, raw in found]
            places = [where for where, _ in found]
            answers = answer(runtime, asked, places, prompt=prompt, hint=None)
            for where, each, said in zip(places, asked, answers, strict=True):
                given = None if isinstance(each, EdgeRobertaError) else each
                if isinstance(said, EdgeRobertaError):
                    yield Watched(where, given, error=said)
                else:
                    yield Watched(where, given, said)


def _asked(runtime: Runtime, raw: bytes, where: str, wanted: Wanted, format_: Format | None) -> Asked:
    text = decoded(raw, where, first=where.endswith(":1"))
    if isinstance(text, DataError):
        return text
    if (format_ or of_file(where.rpartition(":")[0], "--format")) is Format.TXT:
        return text_or_pair(text, reading.line_names(runtime.task, pair=wanted.pair), where)
    named = wanted.text is not None
    chosen = reading.Reading(str(wanted.text), wanted.text_pair) if named else None
    reader = JsonReader(runtime.task, chosen, named=named, pair=wanted.pair)
    return reader.of(value_of(text, where), where)[0]


def _typed() -> Generator[list[_Line], None, None]:
    """Give the lines of standard input one by one, as they come."""
    for number, raw in enumerate(iter(sys.stdin.buffer.readline, b""), 1):
        yield [(f"{STDIN}:{number}", raw)]


def _appended(path: Path, interval: float, *, folder: bool) -> Generator[list[_Line], None, None]:
    """Look at the files every ``interval`` seconds, and give what has been appended."""
    files: dict[Path, _Growing] = {}
    first = True
    try:
        while True:
            found: list[_Line] = []
            there = _files(path) if folder else [path]
            for each in there:
                if each not in files:
                    files[each] = _Growing(each, skip=first)
                found += files[each].look()
            for each in files.keys() - set(there):
                if rest := files[each].look():
                    found += rest
                else:
                    files.pop(each).close()
            first = False
            if found:
                yield found
            else:
                time.sleep(interval)
    finally:
        for growing in files.values():
            growing.close()


def _files(folder: Path) -> list[Path]:
    ends = (".txt", ".log", ".jsonl", ".ndjson")
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # it may come again
        return sorted(each for each in folder.iterdir() if each.suffix.lower() in ends and each.is_file())
    return []


@dataclass
class _Growing:
    """A file that is read as far as it goes, whatever becomes of its name."""

    path: Path
    skip: bool  # whether what it holds when it is first seen is left out
    _file: BinaryIO | None = None
    _lines: int = 0
    _rest: bytes = field(default=b"", repr=False)  # of a line that is not ended
    _refused: bool = False  # whether it was said that it cannot be opened

    def look(self) -> list[_Line]:
        """Return lines that have been ended since the last look; of many not all yet, but some."""
        if self._file is None and not self._open():
            return []
        found = self._read()
        if not found and self._replaced():
            found = self._ended()
            if self._open():
                found += self._read()
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _open(self) -> bool:
        if not self.path.is_file():  # a pipe would be waited for
            self.skip = False  # what comes later is new
            return False
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return False
        except OSError as error:
            if self.skip:  # it is one of those to be watched, and not one that came meanwhile
                raise
            if not self._refused:
                logger.warning("%s: cannot be read (%s); tried again", self.path, error.strerror)
            self._refused = True
            return False
        self.close()
        self._file, self._lines, self._rest = file, 0, b""
        if self.skip:
            self._pass_over(file)
        self.skip = False
        return True

    def _pass_over(self, file: BinaryIO) -> None:
        """Count the lines that are there, which may be more than memory has room for."""
        left = os.fstat(file.fileno()).st_size
        while data := file.read(min(_BLOCK, left)):
            left -= len(data)
            _, mark, rest = data.rpartition(b"\n")
            self._lines += data.count(b"\n")
            self._rest = rest if mark else self._rest + rest

    def _read(self) -> list[_Line]:
        assert self._file is not None  # opened before
        found: list[_Line] = []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():  # it was cut, as copytruncate does
            self._file.seek(0)
            self._lines, self._rest = 0, b""
        while not found and (data := self._file.read(_BLOCK)):
            *ended, self._rest = (self._rest + data).split(b"\n")
            for line in ended:
                self._lines += 1
                found.append((f"{self.path}:{self._lines}", line))
        return found

    def _ended(self) -> list[_Line]:
        """Return the last line of a file that nobody will end any more."""
        rest, self._rest = self._rest, b""
        return [(f"{self.path}:{self._lines + 1}", rest)] if rest else []

    def _replaced(self) -> bool:
        """Tell whether another file has the name now; one that is only gone may still be written to."""
        assert self._file is not None  # opened before
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False
