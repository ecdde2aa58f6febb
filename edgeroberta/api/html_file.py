"""The file that a result is written to as a page; it is checked before anything is measured."""

from __future__ import annotations

import os
from pathlib import Path

from edgeroberta.errors import UsageError

SUFFIXES = (".html", ".htm")


def checked(html: str | os.PathLike[str] | None) -> Path | None:
    """Check where a page is to be written.

    Returns None where none is asked for. Raises UsageError: it is no place for one. UnavailableError: Jinja2
    is not installed.
    """
    from edgeroberta.report import rendering

    if html is None:
        return None
    file = Path(html)
    if file.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{file.name!r} is no name of a page", where="--html", hint=f"{file.name}.html")
    if file.is_dir() or not file.absolute().parent.is_dir():
        what = "is a folder" if file.is_dir() else "is in a folder that is not there"
        raise UsageError(f"{file} {what}", where="--html", hint="name a file in a folder that is there")
    rendering.check()
    return file


def write(file: Path, page: str) -> str:
    """Write a page, and say where; one that cannot be written is no reason to lose what was measured."""
    from edgeroberta.storage.artifact import write_text

    try:
        write_text(file, page)
    except OSError as error:
        return f"warning: {file} could not be written ({error.strerror})"
    return f"written to {file}"
