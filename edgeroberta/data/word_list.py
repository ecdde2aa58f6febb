"""A list of words in a file of text: one a line."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

from edgeroberta.errors import DataError
from edgeroberta.storage import paths


def read(name: str | Path) -> Mapping[str, int]:
    """Read a list of words, one a line; empty lines are passed over.

    Returns each word in composed form (NFC) with the number of its first line, in the order of the file; a
    word that is there again counts once. Raises DataError: no such file, not UTF-8, or no word in it.
    """
    path, where = paths.named(name), str(name)
    if not path.is_file():
        raise DataError("no such file", where=where, hint="name a text file with one word a line")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise DataError("not UTF-8", where=f"{where}:{number}", hint="save the file as UTF-8") from error
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if word := unicodedata.normalize("NFC", line.strip()):
            found.setdefault(word, number)
    if not found:
        raise DataError("no word in this file", where=where, hint="write one word a line")
    return found
