"""File formats: each reader turns one file into tables that know the line of every row."""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from edgeroberta.data import features, question_files, word_files
from edgeroberta.data.delimited import csv_rows, decoded, lines, separator, tsv_rows
from edgeroberta.data.objects import records, whole
from edgeroberta.errors import DataError, did_you_mean, missing_extra

logger = logging.getLogger(__name__)

#: Rows read at a time where a file is not read whole.
CHUNK = 8192
Row = TypeVar("Row")

#: What to do about files of other kinds.
_OTHERS = {
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst"), "unpack it first"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save it as CSV"),
    ".arrow": "save it as Parquet: Dataset.to_parquet",
}
_TABS = "a tab always separates two fields, and a line break two rows"


@dataclass(frozen=True)
class DataTable:
    """Columns of cells, not interpreted yet."""

    source: str  # file or data set, as the user wrote it
    columns: Mapping[str, list[Any]]  # column name to cells; all columns have the same length
    lines: Sequence[int] | None = None  # line each row starts on, or None where rows have no lines
    #: column name to the names its ids stand for, where the format stores them; none for a column of values
    label_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what is to be said of rows that were left out
    plain: bool = False  # True for a file of bare texts, which has no columns to choose from
    first: int = 0  # rows of the file before this table, where rows have no lines
    #: line of each word of each row, where a row is a sentence written over several lines
    word_lines: Sequence[Sequence[int]] | None = None
    #: where in its JSON each row stands, where the file is one object or list of questions on texts
    paths: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @property
    def tagged(self) -> bool:
        """True for a file of words with a tag each; :mod:`edgeroberta.data.word_files` names its columns."""
        return self.word_lines is not None

    def where(self, row: int, word: int | None = None) -> str:
        """Return the place of a row, or of a word in it, for errors."""
        if self.word_lines is not None and word is not None:
            return f"{self.source}:{self.word_lines[row][word]}"
        if self.paths is not None:
            return f"{self.source}: {self.paths[row]}"
        if self.lines is None:
            return f"{self.source}: row {self.first + row + 1}"
        return f"{self.source}:{self.lines[row]}"


@dataclass(frozen=True)
class _Form:
    """How a file is read: its name in errors, columns by number, and rows of a table (None for all)."""

    source: str
    numbers: Sequence[int]
    rows: int | None
    path: Path

    def parts(self, rows: Iterator[tuple[int, Row]], nothing: str) -> Iterator[tuple[list[int], list[Row]]]:
        """Gather numbered rows into parts; with none at all, ``nothing`` is what is wrong."""
        empty = True
        while part := list(itertools.islice(rows, self.rows)):
            empty = False
            yield [number for number, _ in part], [row for _, row in part]
        if empty:
            raise DataError(nothing, where=self.source)


def read(path: Path, *, source: str, numbers: Sequence[int] = (), tagged: bool = False) -> DataTable:
    """Read a data file whole; its extension says the format.

    ``numbers``: column numbers, counted from 1, to read from a CSV or TSV file without a header, or from a
    file of words and tags. ``tagged``: whether a text, TSV or CSV file is one of words and tags; so is a text
    file with column numbers. Returns the table, with at least one row. Columns read by number are called
    ``#1``, ``#2`` …. Raises DataError: the file is missing, empty, malformed, or of an unknown format;
    UnavailableError: a Parquet file is read without pyarrow.
    """
    tagged = tagged or (path.suffix.lower() == ".txt" and bool(numbers))
    return next(stream(path, source=source, numbers=numbers, rows=None, tagged=tagged))


def stream(
    path: Path,
    *,
    source: str,
    numbers: Sequence[int] = (),
    rows: int | None = CHUNK,
    tagged: bool = False,
) -> Iterator[DataTable]:
    """Read a data file part by part, in memory that does not grow with the file.

    ``rows``: rows of a table, at most; None for all of them in one. Yields tables of one or more rows, at
    least one table; together they are what :func:`read` returns. Of JSONL, each has the columns that its own
    rows name.
    """
    if path.is_dir():
        raise DataError("is a folder, a file is needed here", where=source)
    if not path.is_file():
        raise DataError("no such file or folder", where=source, hint="check the path", code="data.not-found")
    extension = path.suffix.lower()
    reader = READERS.get(extension)
    if reader is None:
        what = f"unknown file type {extension!r}" if extension else "the file has no extension"
        known = "known are " + ", ".join(sorted(READERS))
        hint = _OTHERS.get(extension) or did_you_mean(extension, READERS) or known
        raise DataError(what, where=source, hint=hint)
    if tagged and reader in (_read_csv, _read_tsv, _read_lines):
        reader = _read_sentences
    if numbers and reader not in (_read_csv, _read_tsv, _read_lines, _read_sentences):
        raise DataError(
            "columns by number (#1) are for CSV and TSV files, and files of words and tags",
            where=source,
            hint="name the columns: --text NAME --label NAME",
        )
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise DataError("the file is empty", where=source)
            yield from reader(file, _Form(source, numbers, rows, path))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=source) from error


def numbered_lines(path: Path, *, source: str) -> Iterator[tuple[int, str]]:
    """Read a text file's lines with their numbers, from 1; raises DataError as :func:`stream` does."""
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise DataError("the file is empty", where=source)
            yield from lines(decoded(file, source))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=source) from error


def _read_csv(file: BinaryIO, form: _Form) -> Iterator[DataTable]:
    parts = decoded(file, form.source)
    first = next(parts)
    parts = itertools.chain((first,), parts)
    mark = separator(first, header=not form.numbers)
    if mark != ",":
        # STS-B, among others, is distributed as tab-separated text under the name .csv; spreadsheets write
        # semicolons where a comma separates decimals.
        name = "semicolon" if mark == ";" else "tab"
        logger.info(
            "%s: the first line has more %ss than commas, so it is read as %s-separated",
            form.source,
            name,
            name,
        )
    if mark == "\t":
        return _delimited(tsv_rows(parts, form.source), form)
    what = "comma" if mark == "," else "semicolon"
    return _delimited(csv_rows(parts, form.source, mark), form, hint=f"put a field with a {what} in quotes")


def _read_tsv(file: BinaryIO, form: _Form) -> Iterator[DataTable]:
    return _delimited(tsv_rows(decoded(file, form.source), form.source), form)


def _delimited(
    rows: Iterator[tuple[int, list[str]]],
    form: _Form,
    *,
    hint: str = _TABS,
) -> Iterator[DataTable]:
    numbers, header = form.numbers, list[str]()
    if not numbers:
        _, header = next(rows, (1, []))
        _refuse_repeats(header, f"{form.source}:1")
        if any("\r" in name for name in header):
            hint = "save it with line feeds: tr '\\r' '\\n' < old > new"
            raise DataError("its lines end in carriage returns alone", where=form.source, hint=hint)

    def checked() -> Iterator[tuple[int, list[str]]]:
        for line, fields in rows:
            if numbers and len(fields) < max(numbers):
                what = f"{_fields(fields)}, so there is no column #{max(numbers)}"
                raise DataError(what, where=f"{form.source}:{line}", hint=hint)
            if not numbers and len(fields) != len(header):
                what = f"{_fields(fields)} where the header has {len(header)}"
                raise DataError(what, where=f"{form.source}:{line}", hint=hint)
            yield line, fields

    places = {f"#{number}": number - 1 for number in numbers}
    if not numbers:
        places = {name: place for place, name in enumerate(header)}
    for starts, kept in form.parts(checked(), "a header and no rows" if header else "no rows"):
        yield DataTable(form.source, {name: [row[i] for row in kept] for name, i in places.items()}, starts)


def _fields(fields: Sequence[str]) -> str:
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"


def _refuse_repeats(names: Sequence[str], where: str) -> None:
    # Unnamed columns may repeat: spreadsheets leave them, and they cannot be asked for.
    for name, count in Counter(names).items():
        if name and count > 1:
            raise DataError(f"the column {name!r} is there {count} times", where=where)


def _read_jsonl(file: BinaryIO, form: _Form) -> Iterator[DataTable]:
    several = form.path.suffix.lower() == ".json"
    document, parts = whole(decoded(file, form.source), several_lines=several)
    if document is not None and question_files.holds_questions(document):
        yield from _questions(question_files.questions(document, form.source), form)
        return
    numbered, found = records(parts, form.source)
    for places, kept in form.parts(found, "no rows"):
        names = dict.fromkeys(name for record in kept for name in record)
        cells = {name: [record.get(name) for record in kept] for name in names}
        yield (
            DataTable(form.source, cells, places)
            if numbered
            else DataTable(form.source, cells, first=places[0])
        )


def _questions(found: Iterator[question_files.Question], form: _Form) -> Iterator[DataTable]:
    numbered = ((number, each) for number, each in enumerate(found))
    for _, kept in form.parts(numbered, "no questions"):
        names = kept[0][1]
        cells = {name: [record[name] for _, record in kept] for name in names}
        yield DataTable(form.source, cells, paths=[path for path, _ in kept])


def _read_parquet(file: BinaryIO, form: _Form) -> Iterator[DataTable]:
    source = form.source
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", purpose=f"reading {source}") from error
    first = 0
    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        _refuse_repeats(parquet.schema_arrow.names, source)
        names = features.stored(parquet.schema_arrow.metadata or {})
        for part in [parquet.read()] if form.rows is None else parquet.iter_batches(form.rows):
            if len(part):
                columns = {name: part.column(name).to_pylist() for name in part.schema.names}
                yield DataTable(source, columns, label_names=names, first=first)
                first += len(part)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"not a readable Parquet file ({error})", where=source) from error
    if not first:
        raise DataError("a header and no rows", where=source)


def _read_lines(file: BinaryIO, form: _Form) -> Iterator[DataTable]:
    for starts, kept in form.parts(lines(decoded(file, form.source)), "no rows"):
        yield DataTable(form.source, {"text": kept}, starts, plain=True)


def _read_sentences(file: BinaryIO, form: _Form) -> Iterator[DataTable]:
    return _sentences(word_files.sentences(decoded(file, form.source), form.source, form.numbers), form)


def _read_aligned(file: BinaryIO, form: _Form) -> Iterator[DataTable]:
    extension = word_files.ALIGNED[form.path.suffix.lower()]
    tags = form.path.with_suffix(extension)
    if not tags.is_file():
        raise DataError(
            f"there is no file {tags.name} beside it with the tags of its words",
            where=form.source,
            hint=f"put it there: one line of tags for each line of {form.path.name}",
            code="data.not-found",
        )
    other = form.source.removesuffix(form.path.suffix) + extension
    with tags.open("rb") as beside:
        pairs = word_files.aligned(decoded(file, form.source), decoded(beside, other), form.source, other)
        yield from _sentences(pairs, form)


def _sentences(found: Iterator[word_files.Sentence], form: _Form) -> Iterator[DataTable]:
    for starts, kept in form.parts(((each.lines[0], each) for each in found), "no words"):
        columns: dict[str, list[Any]] = {
            word_files.WORDS: [each.words for each in kept],
            word_files.TAGS: [each.tags for each in kept],
            word_files.TEXT: [" ".join(each.words) for each in kept],
        }
        yield DataTable(form.source, columns, starts, word_lines=[each.lines for each in kept])


#: File extension to reader; a new format is a function and a row here.
READERS: dict[str, Callable[[BinaryIO, _Form], Iterator[DataTable]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_jsonl,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".parquet": _read_parquet,
    ".txt": _read_lines,
    **dict.fromkeys((".conll", ".bio", ".iob", ".iob2", ".bioes"), _read_sentences),
    **dict.fromkeys(word_files.ALIGNED, _read_aligned),
}
