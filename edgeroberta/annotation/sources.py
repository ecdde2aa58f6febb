"""Where rows come from: a file, or standard input, read block by block."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from edgeroberta.annotation import line_sources, table_sources
from edgeroberta.annotation.blocks import Block
from edgeroberta.annotation.formats import STDIN, Format, of_file
from edgeroberta.annotation.pacing import Pace
from edgeroberta.annotation.reading import Reading, Wanted
from edgeroberta.errors import DataError
from edgeroberta.tasks import Task


@dataclass(frozen=True, eq=False)
class Source:
    """An open source: what is known of it before its rows are read."""

    name: str  # as the user wrote it
    format: Format
    names: list[str]  # of its columns; of JSON Lines those of the first object
    reading: Reading | None  # which columns are read; None where each row says by itself
    total: int  # how much there is to read, 0 where nobody knows
    unit: str  # what ``total`` counts: ``rows``, or ``KB`` of a file whose rows nobody has counted
    blocks: Callable[[Pace], Iterator[Block]] = field(repr=False)
    separator: str = ","  # what parts the fields of CSV
    schema: Any = None  # of Parquet, its ``pyarrow.Schema``

    @property
    def pairs(self) -> bool:
        """Whether its rows are two texts, as far as that is known before they are read."""
        return len(self.names) > 1 if self.reading is None else self.reading.pair is not None


_READERS = {
    Format.CSV: table_sources.read_csv,
    Format.TSV: table_sources.read_tsv,
    Format.PARQUET: table_sources.read_parquet,
    Format.JSONL: line_sources.read_jsonl,
    Format.TXT: line_sources.read_lines,
}


@contextlib.contextmanager
def opened(name: str, task: Task, wanted: Wanted) -> Iterator[Source]:
    """Open a source and find its columns; it can be read once.

    ``name``: a file, or ``-`` for standard input. Raises DataError: it cannot be read, or its columns do not
    fit the task; UnavailableError: it is Parquet, and pyarrow is not installed.
    """
    format_ = wanted.format or of_file(name, "--format")
    try:
        opening = _open(name)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=name) from error
    with opening as file:
        size = _size(file)
        yield Source(name, format_, **_READERS[format_](file, name, size, task, wanted))


def _open(name: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if name == STDIN:
        return contextlib.nullcontext(sys.stdin.buffer)
    path = Path(name)
    if path.is_dir():
        raise DataError("is a folder, a file is needed here", where=name)
    return path.open("rb")


def _size(file: BinaryIO) -> int | None:
    """Return the bytes of a file; None of a pipe or a terminal."""
    try:
        return os.fstat(file.fileno()).st_size if file.seekable() else None
    except (OSError, ValueError):
        return None
