"""Comma- and tab-separated text, cut into rows with the line each row starts on.

The standard csv module is not used: before Python 3.11 it refuses NUL, its field size limit is a
global, it reports the last line of a record rather than its first, and it has no way to say where an
unterminated quote was opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgeroberta.errors import DataError

# One field and what ends it. The quoted form is "unrolled" ([^"]* ("" [^"]*)*), so that a quote that
# is never closed fails in linear time. A quote inside an unquoted field is an ordinary character.
_CSV_FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n][^,\r\n]*|))(,|\r\n|[\r\n]|\Z)')
_CLOSED_QUOTE = re.compile(r'"[^"]*(?:""[^"]*)*"(?!")')
_NEWLINE = re.compile(r"\r\n|[\r\n]")


def csv_rows(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """Cut comma-separated text (RFC 4180) into rows; empty lines are skipped.

    Args:
        text: The whole file.
        source: Its name, for errors.

    Yields:
        The line a row starts on, counted from 1, and its fields with quotes undone.

    Raises:
        DataError: A quote is not closed, or text follows a closing quote.
    """
    position, line = 0, 1
    while position < len(text):
        start, fields, end = line, [], ","
        blank = False
        while end == ",":
            match = _CSV_FIELD.match(text, position)
            if match is None:
                raise _broken_quote(text, position, f"{source}:{line}")
            quoted, plain, end = match.groups()
            if quoted is None:
                fields.append(plain)
                blank = not plain and len(fields) == 1
            else:
                fields.append(quoted.replace('""', '"'))
                line += len(_NEWLINE.findall(quoted))
            position = match.end()
        line += 1
        if not (blank and len(fields) == 1):
            yield start, fields


def tsv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Cut tab-separated text into rows; quotes are ordinary characters, empty lines are skipped.

    Args:
        text: The whole file.

    Yields:
        The line, counted from 1, and its fields.
    """
    for number, line in lines(text):
        yield number, line.split("\t")


def lines(text: str) -> Iterator[tuple[int, str]]:
    r"""Cut text into numbered lines at ``\n`` or ``\r\n`` only; empty lines are skipped.

    ``str.splitlines`` would also cut at U+0085 and U+2028, which real texts contain.

    Args:
        text: The whole file.

    Yields:
        The line's number, counted from 1, and the line without its end.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if line:
            yield number, line


def looks_tab_separated(text: str) -> bool:
    """Tell whether the first line has more tabs than commas."""
    first = text.split("\n", 1)[0]
    return first.count("\t") > first.count(",")


def _broken_quote(text: str, position: int, where: str) -> DataError:
    if _CLOSED_QUOTE.match(text, position):
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
