"""File formats: each reader turns one file into a table that knows the line of every row."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeroberta.data.delimited import csv_rows, lines, looks_tab_separated, tsv_rows
from edgeroberta.errors import DataError, did_you_mean, missing_extra

logger = logging.getLogger(__name__)

_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Table:
    """Columns of cells, not interpreted yet.

    Attributes:
        source: File or data set, as the user wrote it.
        columns: Column name to cells; all columns have the same length.
        lines: Line each row starts on, or None where rows have no lines.
        label_names: Column name to the names its ids stand for, where the format stores them.
        plain: True for a file of bare texts, which has no columns to choose from.
    """

    source: str
    columns: Mapping[str, list[Any]]
    lines: Sequence[int] | None = None
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plain: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def where(self, row: int) -> str:
        """Return the place of a row, for errors."""
        return f"{self.source}: row {row + 1}" if self.lines is None else f"{self.source}:{self.lines[row]}"


def read(path: Path, *, source: str, numbers: Sequence[int] = ()) -> Table:
    """Read a data file; its extension says the format.

    Args:
        path: The file.
        source: Its name in errors.
        numbers: Column numbers, counted from 1, to read from a CSV or TSV file without a header.

    Returns:
        The table, with at least one row. Columns read by number are called ``#1``, ``#2`` ….

    Raises:
        DataError: The file is missing, empty, malformed, or of an unknown format.
        UnavailableError: A Parquet file is read without pyarrow.
    """
    if path.is_dir():
        raise DataError("is a folder, a file is needed here", where=source)
    if not path.is_file():
        raise DataError("no such file or folder", where=source, hint="check the path")
    extension = path.suffix.lower()
    reader = READERS.get(extension)
    if reader is None:
        what = f"unknown file type {extension!r}" if extension else "the file has no extension"
        known = "known are " + ", ".join(sorted(READERS))
        raise DataError(what, where=source, hint=did_you_mean(extension, READERS) or known)
    if numbers and reader not in (_read_csv, _read_tsv, _read_lines):
        raise DataError(
            "columns by number (#1) are for CSV and TSV files",
            where=source,
            hint="name the columns: --text NAME --label NAME",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=source) from error
    if not data:
        raise DataError("the file is empty", where=source)
    return reader(data, source, numbers)


def _decode(data: bytes, source: str) -> str:
    start = len(_BOM) if data.startswith(_BOM) else 0
    try:
        return data[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        offset = start + error.start
        encoding = "UTF-16" if data.startswith(_UTF16_BOMS) else "ISO-8859-1"
        line = data.count(b"\n", 0, offset) + 1
        raise DataError(
            f"not UTF-8: byte 0x{data[offset]:02x} at offset {offset}",
            where=f"{source}:{line}",
            hint=f"convert it, e.g. iconv -f {encoding} -t UTF-8 {source} > utf8{Path(source).suffix}",
        ) from error


def _read_csv(data: bytes, source: str, numbers: Sequence[int]) -> Table:
    text = _decode(data, source)
    if looks_tab_separated(text):
        # STS-B, among others, is distributed as tab-separated text under the name .csv.
        logger.info("%s: the first line has more tabs than commas, so it is read as tab-separated", source)
        return _delimited(tsv_rows(text), source, numbers)
    return _delimited(csv_rows(text, source), source, numbers, hint="put a field with a comma in quotes")


def _read_tsv(data: bytes, source: str, numbers: Sequence[int]) -> Table:
    return _delimited(tsv_rows(_decode(data, source)), source, numbers)


def _delimited(
    rows: Iterable[tuple[int, list[str]]],
    source: str,
    numbers: Sequence[int],
    *,
    hint: str = "a tab always separates two fields",
) -> Table:
    rows = iter(rows)
    header: list[str] = []
    if not numbers:
        _, header = next(rows, (1, []))
        _refuse_repeats(header, f"{source}:1")
    starts: list[int] = []
    kept: list[list[str]] = []
    for line, fields in rows:
        if numbers and len(fields) < max(numbers):
            what = f"{_fields(fields)}, so there is no column #{max(numbers)}"
            raise DataError(what, where=f"{source}:{line}", hint=hint)
        if not numbers and len(fields) != len(header):
            what = f"{_fields(fields)} where the header has {len(header)}"
            raise DataError(what, where=f"{source}:{line}", hint=hint)
        starts.append(line)
        kept.append(fields)
    if not kept:
        what = "a header and no rows" if header else "no rows"
        raise DataError(what, where=source)
    if numbers:
        columns = {f"#{number}": [fields[number - 1] for fields in kept] for number in numbers}
    else:
        columns = {name: [fields[i] for fields in kept] for i, name in enumerate(header)}
    return Table(source, columns, starts)


def _fields(fields: Sequence[str]) -> str:
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"


def _refuse_repeats(names: Sequence[str], where: str) -> None:
    # Unnamed columns may repeat: spreadsheets leave them, and they cannot be asked for.
    for name, count in Counter(names).items():
        if name and count > 1:
            raise DataError(f"the column {name!r} is there {count} times", where=where)


def _read_jsonl(data: bytes, source: str, numbers: Sequence[int]) -> Table:
    starts: list[int] = []
    records: list[dict[str, Any]] = []
    for line, content in lines(_decode(data, source)):
        if not content.strip():
            continue
        where = f"{source}:{line}"
        try:
            record = json.loads(content, object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            what = f"not valid JSON: {error.msg} at column {error.colno}"
            raise DataError(what, where=where, hint="write one JSON object per line") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"not valid JSON: {error}", where=where) from error
        if not isinstance(record, dict):
            hint = 'write one JSON object per line, e.g. {"text": "fine", "label": "positive"}'
            raise DataError("a JSON object is needed on every line", where=where, hint=hint)
        starts.append(line)
        records.append(record)
    if not records:
        raise DataError("no rows", where=source)
    names = dict.fromkeys(name for record in records for name in record)
    return Table(source, {name: [record.get(name) for record in records] for name in names}, starts)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        repeated = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {repeated!r} is there twice")
    return record


def _read_parquet(data: bytes, source: str, numbers: Sequence[int]) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", purpose=f"reading {source}") from error
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"not a readable Parquet file ({error})", where=source) from error
    _refuse_repeats(table.column_names, source)
    if not len(table):
        raise DataError("a header and no rows", where=source)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    return Table(source, columns, label_names=_stored_names(table.schema.metadata or {}))


def _stored_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Find the label names that the ``datasets`` library writes into a Parquet schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    named = {name: kind for name, kind in features.items() if isinstance(kind, dict) and kind.get("names")}
    return {name: tuple(kind["names"]) for name, kind in named.items()}


def _read_lines(data: bytes, source: str, numbers: Sequence[int]) -> Table:
    numbered = list(lines(_decode(data, source)))
    if not numbered:
        raise DataError("no rows", where=source)
    starts, texts = zip(*numbered, strict=True)
    return Table(source, {"text": list(texts)}, starts, plain=True)


#: File extension to reader; a new format is a function and a row here.
READERS: dict[str, Callable[[bytes, str, Sequence[int]], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".parquet": _read_parquet,
    ".txt": _read_lines,
}
