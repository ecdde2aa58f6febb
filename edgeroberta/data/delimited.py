"""Comma-, semicolon- and tab-separated text, cut into rows with the line each row starts on.

The standard csv module is not used: before Python 3.11 it refuses NUL, its field size limit is a
global, it reports the last line of a record rather than its first, and it has no way to say where an
unterminated quote was opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from edgeroberta.errors import DataError

# One field and what ends it. The quoted form is "unrolled" ([^"]* ("" [^"]*)*), so that a quote that
# is never closed fails in linear time. A quote inside an unquoted field is an ordinary character.
_FIELD = {
    mark: re.compile(rf'(?:"([^"]*(?:""[^"]*)*)"|([^"{mark}\r\n][^{mark}\r\n]*|))({mark}|\r\n|[\r\n]|\Z)')
    for mark in ",;"
}
_CLOSED_QUOTE = re.compile(r'"[^"]*(?:""[^"]*)*"(?!")')
_NEWLINE = re.compile(r"\r\n|[\r\n]")
#: Characters read on at a time.
_BLOCK = 1 << 16


class _Fields:
    """Cuts text, of which only a part is in memory, into fields that a mark separates."""

    def __init__(self, parts: Iterable[str], mark: str) -> None:
        self._parts, self._mark = iter(parts), mark
        self.text = ""
        self.position = 0

    def left(self) -> bool:
        """Tell whether there is more text."""
        return self.position < len(self.text) or self._grow()

    def match(self) -> re.Match[str] | None:
        """Match one field; None when its quotes are broken."""
        while True:
            found = _FIELD[self._mark].match(self.text, self.position)
            if found is None:
                certain = _CLOSED_QUOTE.match(self.text, self.position) is not None
            else:
                # At the end of what is in memory, a "\r" may be half of "\r\n", and a field may go on.
                certain = found.end() < len(self.text) or found[3] in (self._mark, "\n", "\r\n")
            if certain or not self._grow():
                return found

    def _grow(self) -> bool:
        """Read on, at least as much as is left: a long field is then matched anew only a few times."""
        kept = self.text[self.position :]
        added, wanted = [], max(_BLOCK, len(kept))
        for part in self._parts:
            added.append(part)
            wanted -= len(part)
            if wanted <= 0:
                break
        self.text, self.position = kept + "".join(added), 0
        return bool(added)


def csv_rows(parts: Iterable[str], source: str, mark: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Cut comma-separated text (RFC 4180) into rows; empty lines are skipped.

    ``parts``: the file's text, whole or in parts cut anywhere; some tens of kB are held at a time, and the
    longest field. Yields the line a row starts on, counted from 1, and its fields with quotes undone. Raises
    DataError: a quote is not closed, or text follows a closing quote.
    """
    left, line = _Fields(parts, mark), 1
    while left.left():
        start, fields, end = line, [], mark
        blank = False
        while end == mark:
            match = left.match()
            if match is None:
                raise _broken_quote(left.text, left.position, f"{source}:{line}")
            quoted, plain, end = match.groups()
            if quoted is None:
                fields.append(plain)
                blank = not plain and len(fields) == 1
            else:
                fields.append(quoted.replace('""', '"'))
                line += len(_NEWLINE.findall(quoted))
            left.position = match.end()
        line += 1
        if not (blank and len(fields) == 1):
            yield start, fields


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
