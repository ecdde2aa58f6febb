"""Where rows go with their answers: CSV, TSV, JSON Lines or Parquet, into a file or a pipe."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from edgeroberta.annotation.answer_columns import AnswerColumn
from edgeroberta.annotation.blocks import Block
from edgeroberta.annotation.formats import STDOUT, Format
from edgeroberta.annotation.sources import Source
from edgeroberta.errors import DataError, EdgeRobertaError, UsageError, missing_extra
from edgeroberta.escaping import plain, plain_json
from edgeroberta.storage import artifact

#: Cells of the answers to some rows, a list for each of their columns.
Cells = Sequence[Sequence[Any]]


class Sink(Protocol):
    """Takes rows with the cells of their answers."""

    def write(self, block: Block, kept: Sequence[int], cells: Cells) -> None:
        """Write some rows of a block."""

    def close(self) -> None:
        """Write what is held back."""

    def abandon(self) -> None:
        """Let go of a file that will not be whole."""


@contextlib.contextmanager
def opened(output: str, format_: Format, source: Source, answers: Sequence[AnswerColumn]) -> Iterator[Sink]:
    """Open a file that has its name once it is whole (a link: what it leads to), or standard output.

    Raises UsageError: nothing can be written there, or not in this format; UnavailableError: it is Parquet,
    and pyarrow is not installed.
    """
    make = _SINKS.get(format_)
    if make is None:
        known = ", ".join(_SINKS)
        raise UsageError(f"{format_} is only read; written are {known}", where=output, hint="-o FILE.jsonl")
    if output == STDOUT:
        terminal = sys.stdout.isatty()
        if terminal and format_ is Format.PARQUET:
            raise UsageError("Parquet is not for a terminal", where="--output", hint="-o FILE.parquet")
        sys.stdout.flush()
        sink = make(_Terminal(sys.stdout.buffer) if terminal else sys.stdout.buffer, source, answers)
        with _closing(sink):
            yield sink
        sys.stdout.buffer.flush()
        return
    with artifact.replacing(Path(output).resolve()) as file, _closing(make(file, source, answers)) as sink:
        yield sink


@contextlib.contextmanager
def _closing(sink: Sink) -> Iterator[Sink]:
    try:
        yield sink
        sink.close()
    except BaseException:
        sink.abandon()
        raise


def check_place(output: str, source: str) -> None:
    """Refuse a place where no file can be, and the source itself. Raises UsageError."""
    if output == STDOUT:
        return
    path = Path(output)
    if path.is_dir():
        raise UsageError("is a folder; a file is written", where=output, hint=f"-o {path / 'answers.csv'}")
    # Names of standard output lead to a file where a shell sends it into one, which is the shell's to write.
    if (path.exists() and not path.is_file()) or output.startswith(("/dev/std", "/dev/fd/", "/proc/")):
        raise UsageError(
            "is a pipe or a device, which a file would replace", where=output, hint=f"-o - > {output}"
        )
    if not path.absolute().parent.is_dir():
        raise UsageError(
            "there is no such folder to write into", where=str(path.parent), hint="make it first"
        )
    with contextlib.suppress(OSError):
        if path.samefile(source):
            raise UsageError("the output is the input itself", where=output, hint="choose another name")


class _Terminal:
    """Standard output on a terminal, which must not be steered by what rows hold."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(plain(data.decode("utf-8")).encode())


class JsonLines:
    """Objects: the fields of the row, then those of its answer."""

    def __init__(self, file: Any, source: Source, answers: Sequence[AnswerColumn]) -> None:
        self._file, self._names = file, [each.name for each in answers]

    def write(self, block: Block, kept: Sequence[int], cells: Cells) -> None:
        """Write some rows of a block."""
        rows = zip(*cells, strict=True)
        lines = [
            encoded({**record, **dict(zip(self._names, row, strict=True))})
            for record, row in zip(block.records(kept), rows, strict=True)
        ]
        self._file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))

    def close(self) -> None:
        """Nothing is held back."""

    abandon = close


def encoded(value: Any) -> str:
    """Write a value as JSON on one line; what is no Unicode, such as half a surrogate pair, as its escape."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=_jsonable, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, default=_jsonable)
    return plain_json(text)


def _finite(value: Any) -> Any:
    """Return a value in which null stands for what JSON has no number for."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _jsonable(value: Any) -> Any:
    """Return what JSON has for a value of Parquet: lists of arrays, texts of dates, decimals and bytes."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class Delimited:
    """CSV, or TSV, with a header: lists and objects are JSON in their cell, what is missing is empty."""

    def __init__(self, file: Any, source: Source, answers: Sequence[AnswerColumn]) -> None:
        self._file, self._names = file, list(source.names)
        mark = source.separator if source.format is Format.CSV and source.separator != "\t" else ","
        self._separator = mark
        self._write_rows([[*self._names, *(each.name for each in answers)]], [source.name])

    def write(self, block: Block, kept: Sequence[int], cells: Cells) -> None:
        """Write some rows of a block; none may have a column that the first did not have."""
        if more := [name for name in block.names() if name not in self._names]:
            raise _new_column(block, more[0])
        answers = zip(*cells, strict=True)
        rows = [
            [_cell(each) for each in (*row, *answer)]
            for row, answer in zip(block.rows(kept, self._names), answers, strict=True)
        ]
        self._write_rows(rows, [block.places[row] for row in kept])

    def close(self) -> None:
        """Nothing is held back."""

    abandon = close

    def _write_rows(self, rows: Sequence[Sequence[Any]], places: Sequence[str]) -> None:
        lines = _Lines()
        # Python before 3.13 quotes a carriage return only where it may end a line.
        csv.writer(lines, delimiter=self._separator, lineterminator="\r\n").writerows(rows)
        self._file.write("".join(lines).encode("utf-8", "backslashreplace"))


class _Lines(list[str]):
    """Takes lines of CSV, each of which ends with a line feed alone."""

    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


class Tabbed(Delimited):
    """TSV, in which quotes are ordinary, so that no cell may hold what ends one."""

    def _write_rows(self, rows: Sequence[Sequence[Any]], places: Sequence[str]) -> None:
        for row, where in zip(rows, places, strict=True):
            if any(mark in cell for cell in row if isinstance(cell, str) for mark in "\t\n\r"):
                raise DataError(
                    "a cell has a tab or a line break in it, which TSV cannot hold",
                    where=where,
                    hint="write CSV, JSON Lines or Parquet: -o FILE.csv",
                )
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        self._file.write(text.encode("utf-8", "backslashreplace"))


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    listed = value if isinstance(value, list | dict) else _jsonable(value)
    return listed if isinstance(listed, str) else encoded(listed)


def _new_column(block: Block, name: str) -> EdgeRobertaError:
    row = next((n for n, each in enumerate(block.records(range(len(block)))) if name in each), 0)
    return DataError(
        f"this row has a column {name!r}, which the first rows do not have",
        where=block.places[row],
        hint="write JSON Lines, where each row may have its own: -o FILE.jsonl",
    )


_SINKS: dict[Format, Callable[[Any, Source, Sequence[AnswerColumn]], Sink]] = {
    Format.JSONL: JsonLines,
    Format.CSV: Delimited,
    Format.TSV: Tabbed,
}


def _parquet(file: Any, source: Source, answers: Sequence[AnswerColumn]) -> Sink:
    try:
        import pyarrow.parquet  # noqa: F401 (looked for before work begins)
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", purpose="writing Parquet") from error
    from edgeroberta.annotation.parquet_sink import ParquetSink

    return ParquetSink(file, source, answers)


_SINKS[Format.PARQUET] = _parquet
