"""What ``edgeroberta run`` answers: the texts of the command, a file, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from edgeroberta.errors import UsageError

Each = TypeVar("Each")


def find(
    texts: Sequence[str], named: str | None, *, output: str | None, watch: str | None, format_: str | None
) -> str | None:
    """Return the file to read, ``-`` for standard input, or None: the texts are answered, or lines watched.

    Raises UsageError: what is given contradicts itself, or there is nothing to answer.
    """
    if watch is not None:
        for given, option in ((texts, "texts"), (named, "--input"), (output, "--output")):
            if given:
                hint = "write answers into a file with >> FILE" if option == "--output" else "leave one out"
                raise UsageError(f"{option} and --watch together", where="--watch", hint=hint)
        return None
    if output is not None:
        return _filtered([*texts, *([] if named is None else [named])], piped=bool(format_) and _is_piped())
    if named is None:
        return _shown(texts)
    if texts:
        raise UsageError("texts and --input together", hint="leave one out")
    return named


def require_some(answers: Iterable[Each]) -> Iterator[Each]:
    """Give answers on. Raises UsageError: there is none, of an input that nobody named."""
    empty = True
    for each in answers:
        empty = False
        yield each
    if empty:
        raise _nothing()


def _filtered(files: list[str], *, piped: bool) -> str:
    """Return the one file whose rows are answered."""
    from edgeroberta.annotation.formats import STDIN

    if not files and piped:
        return STDIN
    if len(files) != 1:
        what = "no file whose rows are answered" if not files else "more than one file"
        raise UsageError(what, where="--output", hint="edgeroberta run BUNDLE FILE --output FILE")
    return files[0]


def _shown(texts: Sequence[str]) -> str | None:
    """Return the file that the words are; None where they are texts."""
    from edgeroberta.annotation.formats import STDIN

    if not texts:
        if not _is_piped():
            raise _nothing()
        return STDIN
    files = [text for text in texts if text == STDIN or _is_file(text)]
    if files and len(texts) > 1:
        raise UsageError(
            "files are read one at a time", where=files[0], hint=f"edgeroberta run BUNDLE {files[0]}"
        )
    return files[0] if files else None


def _is_file(text: str) -> bool:
    """Tell whether a text is the name of a file of rows; a word that only looks like one is refused."""
    from edgeroberta.annotation import formats

    if not formats.is_of_rows(text) or "\n" in text:
        return False
    if Path(text).is_file():
        return True
    if len(text.split()) > 1:
        return False
    raise UsageError(
        "there is no such file",
        where=text,
        hint=f"where it is a text: echo '{text}' | edgeroberta run BUNDLE",
    )


def _is_piped() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and not sys.stdin.isatty()


def _nothing() -> UsageError:
    return UsageError("no text to answer", hint="edgeroberta run BUNDLE 'some text', or BUNDLE FILE")
