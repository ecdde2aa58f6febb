"""Comma-, semicolon- and tab-separated text, cut into rows with the line each row starts on."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from edgeroberta.errors import DataError

#: Python 3.10's csv refuses NUL; decoded text has no lone surrogate that this could be mistaken for.
_NUL = ("\0", "\udc00") if sys.version_info < (3, 11) else None
BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST = (1 << 31) - 1  # characters of a field; csv's own limit is 131,072


def decoded(file: BinaryIO, source: str) -> Iterator[str]:
    """Read a file's lines, each with its end, and refuse what is not UTF-8."""
    offset, opening = 0, b""
    for number, raw in enumerate(file, start=1):
        start = 0
        if number == 1:
            opening = raw[:2]
            start = len(BOM) if raw.startswith(BOM) else 0
        try:
            yield raw[start:].decode("utf-8")
        except UnicodeDecodeError as error:
            place = start + error.start
            encoding = "UTF-16" if opening in _UTF16_BOMS else _likely(raw)
            raise DataError(
                f"not UTF-8: byte 0x{raw[place]:02x} at offset {offset + place}",
                where=f"{source}:{number}",
                hint=f"convert it, e.g. iconv -f {encoding} -t UTF-8 {source} > utf8{Path(source).suffix}",
            ) from error
        offset += len(raw)


def _likely(raw: bytes) -> str:
    """Name the encoding that a line most likely has, which is not UTF-8."""
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        return "ISO-8859-1"
    return "GB18030" if sum("\u4e00" <= one <= "\u9fff" for one in text) > 1 else "ISO-8859-1"


def csv_rows(lines: Iterable[str], source: str, mark: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Cut comma-separated text (RFC 4180) into rows; empty lines are skipped.

    ``lines``: the file's lines, each with its end; one row is held at a time. Yields the line a row starts
    on, counted from 1, and its fields with quotes undone. Raises DataError: a quote is not closed, or text
    follows a closing quote.
    """
    csv.field_size_limit(_LONGEST)
    through = False

    def physical() -> Iterator[str]:
        nonlocal through
        for line in lines:
            text = line if _NUL is None else line.replace(*_NUL)
            # csv wants lines that end where a carriage return stands alone, too.
            yield from io.StringIO(text, newline="") if "\r" in text.removesuffix("\n")[:-1] else (text,)
        through = True

    reader = csv.reader(physical(), delimiter=mark, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _broken_quote(f"{source}:{start}", closed=not through) from error
        if fields:
            yield start, fields if _NUL is None else [field.replace(_NUL[1], _NUL[0]) for field in fields]


def tsv_rows(parts: Iterable[str], source: str) -> Iterator[tuple[int, list[str]]]:
    """Cut tab-separated text into rows and their lines, from 1; quotes are ordinary, empty lines skipped."""
    for number, line in lines(parts):
        fields = line.split("\t")
        if any(map(_quoted_as_csv, fields)):
            raise DataError(
                "quotes around a field and twice within, as in CSV; in TSV they are ordinary characters",
                where=f"{source}:{number}",
                hint="save it with commas as .csv, or without quotes (pandas: quoting=csv.QUOTE_NONE)",
            )
        yield number, fields


def _quoted_as_csv(field: str) -> bool:
    """Tell a field that only a writer of quoted fields makes: quotes around it, and twice each within."""
    within = field[1:-1]
    return field[:1] == '"' == field[-1:] and '""' in within and '"' not in within.replace('""', "")


def lines(parts: Iterable[str]) -> Iterator[tuple[int, str]]:
    r"""Number lines and take off their ends, ``\n`` or ``\r\n``; empty lines are skipped.

    ``parts``: the file's lines, each with its end, cut at ``\n`` only: ``str.splitlines`` would also cut at
    U+0085 and U+2028, which real texts contain. Yields the line's number, counted from 1, and the line
    without its end.
    """
    for number, part in enumerate(parts, start=1):
        line = part.removesuffix("\n").removesuffix("\r")
        if line:
            yield number, line


def separator(text: str, *, header: bool) -> str:
    """Tell what separates fields by the first line: a comma, a tab or, in a ``header``, a semicolon."""
    first = text.split("\n", 1)[0]
    if first.count("\t") > first.count(","):
        return "\t"
    names = re.sub(r'"[^"]*"', "", first)
    return ";" if header and names.count(";") > names.count(",") else ","


def _broken_quote(where: str, *, closed: bool) -> DataError:
    if closed:
        return DataError(
            "text after the closing quote of a field",
            where=where,
            hint='write a quote inside a quoted field twice: "say ""hi"""',
        )
    return DataError(
        "a quote is opened and never closed",
        where=where,
        hint="close it, or save the file as .tsv, where quotes are ordinary characters",
    )
