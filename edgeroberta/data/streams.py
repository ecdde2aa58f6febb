"""Texts without labels, read as a stream: a million of them take one byte each in memory, not a string.

A file is read and checked once to know which rows count, and again each time its texts are wanted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeroberta.data import columns, readers, splitting, text_pairs, texts
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import DataError
from edgeroberta.storage import paths
from edgeroberta.tasks import AnswerSpans

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TextStream:
    """Texts without labels that stay in their files; see :class:`edgeroberta.data.rows.Texts`."""

    source: str  # where they come from, for people
    pair: bool  # whether they are pairs
    kept: npt.NDArray[np.bool_]  # bool[n], which rows of the files count
    _read: Callable[[], Iterator[Rows]]
    apart: bool = False  # whether the texts of a pair are read one by one

    @property
    def units(self) -> int:
        """How many texts of a row are read one by one."""
        return 2 if self.apart and self.pair else 1

    def __len__(self) -> int:
        return int(np.count_nonzero(self.kept))

    def chunks(self) -> Iterator[Rows]:
        """Read the texts, some thousands at a time."""
        first = 0
        for part in self._read():
            chosen = np.flatnonzero(self.kept[first : first + len(part)])
            first += len(part)
            if len(chosen):
                yield part if len(chosen) == len(part) else part.select(chosen)
        if first != len(self.kept):
            raise _changed(self.source)

    @cached_property
    def digest(self) -> str:
        """The sha256 of texts and pairs (hex), the same as that of the same texts as ``Rows``."""
        digest = hashlib.sha256(b"apart" if self.units > 1 else b"")
        count = b"%d:" % len(self)
        digest.update(count)
        for part in self.chunks():
            part.update(digest, part.texts)
        digest.update(count if self.pair else b"0:")
        for part in self.chunks() if self.pair else ():
            part.update(digest, part.pairs or ())
        return digest.hexdigest()


def load(spec: DataSpec, *, pair: bool, without: Sequence[Rows], apart: bool = False) -> TextStream:
    """Read and check ``spec.unlabelled`` once, and choose which of its rows count.

    ``spec``: where the texts are: a file, or a folder of them, which are read in the order of their names.
    The columns of each file are chosen by its first rows (``readers.CHUNK``). ``pair``: whether the labelled
    rows are pairs, which these must then be, too. ``without``: rows whose texts, or contexts of questions,
    are left out. ``apart``: whether texts are read one by one; they may then be single ones, or pairs as the
    first file has. Returns the texts: a sample where ``spec.limit`` is lower, less those in ``without``.
    Raises DataError: the texts cannot be read or used; ``where`` has the file and line; UnavailableError: a
    package to read them with is missing.
    """
    name = str(spec.unlabelled)
    files = _files(paths.named(name), name)
    names = (spec.text, spec.text_pair if pair else None)
    if apart:
        names = _names_apart(files, spec)
        pair = names[1] is not None
    before = _state(files)

    def read() -> Iterator[Rows]:
        for path, source in files.items():
            tables = readers.stream(path, source=source, numbers=columns.numbers(names))
            yield from (replace(rows, apart=apart) for rows in _rows(tables, names, pair=pair))
        if _state(files) != before:
            raise _changed(name)

    asked = any(isinstance(rows.labels, AnswerSpans) for rows in without)
    keys_of = texts.contexts if asked else texts.each_key
    taken = [{key for row in keys_of(rows) for key in row} for rows in without]
    marks = bytearray()
    for part in read():
        marks.extend(_mark(keys, taken) for keys in keys_of(part))
    found = np.frombuffer(marks, np.uint8)
    kept = np.ones(len(found), bool)
    if spec.limit is not None and len(found) > spec.limit:
        kept = splitting.sample(len(found), spec.limit, seed=spec.seed)
    for number, rows in enumerate(without, start=1):
        kept = _less(kept, found == number, rows, name)
    return TextStream(name, pair, kept, read, apart)


def _names_apart(files: dict[Path, str], spec: DataSpec) -> tuple[str | None, str | None]:
    """Return the columns of texts that are read one by one: two where the first file has two, else one."""
    path, source = next(iter(files.items()))
    if path.suffix.lower() == ".txt" or not path.is_file():
        return None, None
    numbers = columns.numbers((spec.text, spec.text_pair))
    table = next(readers.stream(path, source=source, numbers=numbers))
    try:
        found = text_pairs.choose(table, replace(spec, label=None))
        return found.first, found.second
    except DataError:
        return (spec.text if spec.text in table.columns else None), None


def _files(path: Path, name: str) -> dict[Path, str]:
    """Return the files to read and what errors call them."""
    if not path.is_dir():
        return {path: name}
    # .json files in a folder of texts are as a rule about the others.
    suffixes = readers.READERS.keys() - {".json"}
    known = [file for file in sorted(path.iterdir()) if file.suffix.lower() in suffixes]
    if not known:
        hint = "known are " + ", ".join(sorted(suffixes))
        raise DataError("no data file in this folder", where=name, hint=hint)
    return {file: f"{name.rstrip('/')}/{file.name}" for file in known}


def _state(files: dict[Path, str]) -> list[tuple[int, int]]:
    """Return what changes when a file does; of files that cannot be read, their reader tells."""
    return [
        (status.st_size, status.st_mtime_ns) for path in files if path.exists() and (status := path.stat())
    ]


def _rows(tables: Iterator[DataTable], names: tuple[str | None, str | None], *, pair: bool) -> Iterator[Rows]:
    """Check one file's tables and make them rows."""
    first = next(tables)
    chosen = columns.choose(first, *names, None, labelled=False)
    if pair and chosen.pair is None:
        raise DataError("the labelled rows are pairs, these are single texts", where=first.source)
    for table in chain((first,), tables):
        seconds = texts.checked(table, chosen.pair, tables) if pair and chosen.pair else None
        yield Rows(texts.checked(table, chosen.text, tables), seconds, None, table.source)


def _mark(keys: tuple[str, ...], taken: Sequence[set[str]]) -> int:
    """Return the number of the first part that has one of a row's texts, from 1; 0 when none has it."""
    return next((number for number, others in enumerate(taken, start=1) if not others.isdisjoint(keys)), 0)


def _less(
    kept: npt.NDArray[np.bool_], shared: npt.NDArray[np.bool_], others: Rows, name: str
) -> npt.NDArray[np.bool_]:
    left = kept & ~shared
    count = np.count_nonzero(kept & shared)
    if not left.any():
        raise DataError(f"every text is also in {others.source}, which it must not share", where=name)
    if count:
        logger.warning("%s: %d rows left out, also in %s", name, count, others.source)
    return left


def _changed(name: str) -> DataError:
    return DataError(
        "has changed since this run began",
        where=name,
        hint="run the command again, and leave the data as it is meanwhile",
    )
