"""Rows that are parts of a table: CSV and TSV with their headers, and Parquet."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from edgeroberta.annotation import reading
from edgeroberta.annotation.blocks import ArrowBlock, Asked, Block, TextBlock
from edgeroberta.annotation.line_sources import kilobytes
from edgeroberta.annotation.pacing import CHARACTERS, Pace
from edgeroberta.annotation.reading import SKIP, Reading, Wanted
from edgeroberta.data import columns
from edgeroberta.data.delimited import csv_rows, decoded, separator, tsv_rows
from edgeroberta.errors import DataError, missing_extra
from edgeroberta.tasks import Task


def read_csv(file: BinaryIO, source: str, size: int | None, task: Task, wanted: Wanted) -> dict[str, Any]:
    """Open CSV; a header with more semicolons or tabs than commas says that these part its fields."""
    parts = decoded(file, source)
    first = next(parts, "")
    mark = separator(first, header=not columns.numbers((wanted.text, wanted.text_pair)))
    counted = _Counted(itertools.chain((first,), parts))
    rows = tsv_rows(counted, source) if mark == "\t" else csv_rows(counted, source, mark)
    return {**_delimited(rows, counted, source, task, wanted), "separator": mark, **kilobytes(size)}


def read_tsv(file: BinaryIO, source: str, size: int | None, task: Task, wanted: Wanted) -> dict[str, Any]:
    """Open TSV."""
    counted = _Counted(decoded(file, source))
    found = _delimited(tsv_rows(counted, source), counted, source, task, wanted)
    return {**found, "separator": "\t", **kilobytes(size)}


class _Counted:
    """Lines, and how many characters have been read of them: near enough to bytes for a bar."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self.read = iter(lines), 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.read += len(line)
        return line


def _delimited(
    rows: Iterator[tuple[int, list[str]]], counted: _Counted, source: str, task: Task, wanted: Wanted
) -> dict[str, Any]:
    line, first = next(rows, (1, []))
    if not first:
        raise DataError("there is no header", where=source)
    header = first
    if columns.numbers((wanted.text, wanted.text_pair)):
        header = [f"#{number}" for number in range(1, len(first) + 1)]
        rows = itertools.chain([(line, first)], rows)
    _refuse_repeats(header, f"{source}:1")
    chosen = reading.choose(header, task, wanted.text, wanted.text_pair, source=source)

    def blocks(pace: Pace) -> Iterator[Block]:
        for part in pace.parts((sum(map(len, fields)), (line, fields)) for line, fields in rows):
            places = [f"{source}:{line}" for line, _ in part]
            asked = _asked(chosen, header, [fields for _, fields in part], places)
            cells = [fields if len(fields) == len(header) else [None] * len(header) for _, fields in part]
            yield TextBlock(asked, places, counted.read // 1000, header, cells)

    return {"names": header, "reading": chosen, "blocks": blocks}


def _asked(chosen: Reading, header: list[str], rows: list[list[str]], places: list[str]) -> list[Asked]:
    first = header.index(chosen.text)
    second = first if chosen.pair is None else header.index(chosen.pair)
    return [
        chosen.of(fields[first], fields[second], where)
        if len(fields) == len(header)
        else DataError(
            f"{len(fields)} field{'s' * (len(fields) != 1)} where the header has {len(header)}",
            where=where,
            hint=SKIP,
        )
        for fields, where in zip(rows, places, strict=True)
    ]


def read_parquet(file: BinaryIO, source: str, size: int | None, task: Task, wanted: Wanted) -> dict[str, Any]:
    """Open Parquet, which must be a file: its columns are found at its end."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", purpose=f"reading {source}") from error
    if size is None:
        raise DataError("Parquet cannot be read from a pipe", where=source, hint="name the file")
    try:
        parquet = pyarrow.parquet.ParquetFile(file, buffer_size=1 << 20)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"not a readable Parquet file ({error})", where=source) from error
    names, rows = list(parquet.schema_arrow.names), parquet.metadata.num_rows
    _refuse_repeats(names, source)
    chosen = reading.choose(names, task, wanted.text, wanted.text_pair, source=source)

    def blocks(pace: Pace) -> Iterator[Block]:
        done = 0
        try:
            for part in _batches(parquet, pace):
                for batch in _cut(part, chosen):
                    places = [f"{source}: row {done + row + 1}" for row in range(len(batch))]
                    done += len(batch)
                    yield ArrowBlock(_asked_of(batch, chosen, places), places, done, batch)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"not a readable Parquet file ({error})", where=source) from error

    found = {"names": names, "reading": chosen, "blocks": blocks, "total": rows, "unit": "rows"}
    return {**found, "schema": parquet.schema_arrow}


def _batches(parquet: Any, pace: Pace) -> Iterator[Any]:
    """Read a file in batches, the first ones smaller."""
    first, size = True, pace.size()
    for batch in parquet.iter_batches(pace.most, use_threads=False):
        at = 0
        while first and at + size < len(batch):
            yield batch.slice(at, size)
            at, size = at + size, pace.size()
        first = False
        yield batch.slice(at)


def _cut(batch: Any, chosen: Reading) -> Iterator[Any]:
    """Cut a batch so that no part of it has too much text; most are one part."""
    bytes_ = sum(batch.column(name).nbytes for name in (chosen.text, chosen.pair) if name is not None)
    size = max(1, len(batch) * CHARACTERS // max(bytes_, CHARACTERS))
    for at in range(0, len(batch), size):
        yield batch.slice(at, size)


def _asked_of(batch: Any, chosen: Reading, places: list[str]) -> list[Asked]:
    firsts = batch.column(chosen.text).to_pylist()
    seconds = firsts if chosen.pair is None else batch.column(chosen.pair).to_pylist()
    return [chosen.of(*row) for row in zip(firsts, seconds, places, strict=True)]


def _refuse_repeats(names: list[str], where: str) -> None:
    """Refuse names that are there twice: what is written could not be read back."""
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"the column {name!r} is there {count} times", where=where)
