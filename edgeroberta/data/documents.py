"""Unlabelled text as a stream of documents, in memory that does not grow with it.

A document is a line of a text file, a cell of CSV, JSONL or Parquet, or a row of a data set on the Hub; in
text files it may also be the lines between two blank ones.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Protocol

from edgeroberta.data import columns, hub, readers, splitting, text_lines, texts
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec, Rows
from edgeroberta.errors import DataError
from edgeroberta.storage import paths
from edgeroberta.tasks import AnswerSpans, Word

logger = logging.getLogger(__name__)

#: Rows of a table read at a time; those of a corpus may be whole articles.
ROWS = 256
_OTHERS = {".json"}  # as a rule about the others, in a folder of texts


class DocumentForm(Word):
    """What is one document in a text file."""

    AUTO = "auto"  #: lines between blank ones where a file begins so, else each line
    ROWS = "rows"  #: each line
    BLANK_LINES = "blank-lines"  #: the lines between two blank ones


class Documents(Protocol):
    """Texts without labels, read again each time they are wanted."""

    @property
    def source(self) -> str:
        """Where they come from, for people."""

    @property
    def digest(self) -> str:
        """The sha256 of the content (hex), whatever files it is in."""

    def chunks(self) -> Iterator[Sequence[str]]:
        """Give all documents in order, some MB at a time."""


@dataclass(frozen=True, eq=False)
class DocumentList:
    """Documents in memory."""

    documents: Sequence[str]
    source: str = "texts"

    @cached_property
    def digest(self) -> str:
        """The sha256 of the documents (hex)."""
        return _digest(self.chunks())

    def chunks(self) -> Iterator[Sequence[str]]:
        """Give the documents that are not empty."""
        yield text_lines.pieces([text for text in self.documents if text.strip()])


@dataclass(frozen=True, eq=False)
class DocumentStream:
    """Documents that stay in their files, or on the Hub."""

    source: str  # where they come from, for people
    _read: Callable[[DocumentForm], Iterator[list[str]]]
    without: Collection[str] = field(default=(), repr=False)  # keys of texts that are left out
    limit: int | None = None  # how many to draw at random; None for all
    seed: int = 0  # of that draw
    form: DocumentForm = DocumentForm.AUTO
    digest: str = ""
    documents: int = 0  # how many there are, as ``auto`` reads them
    characters: int = 0  # in all of them; with a limit in as many of the mean length

    def chunks(self) -> Iterator[Sequence[str]]:
        """Read the documents in order, some MB at a time."""
        return self._parts() if self.limit is None else self._drawn(self.limit)

    def _parts(self) -> Iterator[list[str]]:
        for part in self._read(self.form):
            if kept := text_lines.pieces(self.kept(part)):
                yield kept

    def kept(self, texts_: list[str]) -> list[str]:
        """Leave out the texts that are in ``without``."""
        return [text for text in texts_ if texts.key(text) not in self.without] if self.without else texts_

    def _drawn(self, limit: int) -> Iterator[list[str]]:
        total, first = sum(map(len, self._parts())), 0
        chosen = splitting.sample(total, min(limit, total), seed=self.seed)
        for part in self._parts():
            kept = list(compress(part, chosen[first : first + len(part)].tolist()))
            first += len(part)
            if kept:
                yield kept


def reformed(documents: Documents, form: DocumentForm) -> Documents:
    """Return the same text with other borders between documents, where these are lines of files.

    The digest stays that of the text.
    """
    return replace(documents, form=form) if isinstance(documents, DocumentStream) else documents


def load(
    spec: DataSpec, *, without: Sequence[Rows] = (), tell: Callable[[str], None] | None = None
) -> DocumentStream:
    """Open unlabelled text and read it once: everything that can be wrong with it is found here.

    ``spec``: ``unlabelled`` is a file (``.txt``, CSV, TSV, JSONL, Parquet), a folder of files of one format,
    read in the order of their names, or a data set on the Hub; ``text`` its column of texts, where it has
    one of that name, or where ``data`` is the same; ``limit``: how many documents to draw at random.
    ``without``: rows whose texts, or contexts of questions, are left out, as those that models are judged by.
    ``tell``: called with a line for people on each choice that they did not make. Blank rows count for
    nothing. Raises DataError: it cannot be read or used; ``where`` has the file and line; UnavailableError: a
    package to read it with is missing.
    """
    name = str(spec.unlabelled)
    path = paths.named(name)
    # A column that was named for labelled rows need not be here; one that was named for these texts must.
    usual = () if spec.text is not None and spec.data == name else columns.TEXTS
    read: Callable[[DocumentForm], Iterator[list[str]]]
    if path.exists() or not hub.is_id(name):
        files = _files(path, name)
        state = _state(files)

        def read(form: DocumentForm) -> Iterator[list[str]]:
            for file, source in files.items():
                yield from _documents(file, source, spec.text, form, usual)
            if _state(files) != state:
                raise _changed(name)

        for line in _forms(files):
            (tell or logger.info)(line)
    else:

        def read(form: DocumentForm) -> Iterator[list[str]]:
            yield from _cells(hub.stream(name, rows=ROWS), spec.text, usual)

    taken = {key for rows in without for key in _keys(rows)}
    return _checked(DocumentStream(name, read, taken, spec.limit, spec.seed))


def _keys(rows: Rows) -> Iterator[str]:
    """Return what no document may be the same as: texts, both of a pair, and contexts of questions."""
    asked = isinstance(rows.labels, AnswerSpans)
    for column in (() if asked else rows.texts, rows.pairs or ()):
        yield from map(texts.key, column)


def _checked(documents: DocumentStream) -> DocumentStream:
    """Read all documents, digest and count them, and say what is left out."""
    left = kept = characters = 0
    digest = hashlib.sha256()
    for part in documents._read(documents.form):
        chosen = documents.kept(part)
        left += len(part) - len(chosen)
        chosen = text_lines.pieces(chosen)
        kept += len(chosen)
        characters += sum(map(len, chosen))
        Rows.update(digest, chosen)
    if left and not kept:
        raise DataError(
            "every text is also among the labelled rows that models are judged by",
            where=documents.source,
            hint="give text that is not among them",
        )
    if not kept:
        hint = "give text, a document per line"
        raise DataError("no text in it, only blank rows", where=documents.source, hint=hint)
    if left:
        logger.warning("%s: %d documents left out, which models are judged by", documents.source, left)
    found = replace(documents, digest=digest.hexdigest(), documents=kept, characters=characters)
    if documents.limit is None or documents.limit >= kept:
        return replace(found, limit=None)
    drawn = documents.limit
    return replace(
        found, digest=_digest(found.chunks()), documents=drawn, characters=characters * drawn // kept
    )


def _digest(parts: Iterator[Sequence[str]]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        Rows.update(digest, part)
    return digest.hexdigest()


def _files(path: Path, name: str) -> dict[Path, str]:
    """Return the files to read and what errors call them."""
    if not path.is_dir():
        return {path: name}
    found = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    known = [file for file in found if file.suffix.lower() in readers.READERS.keys() - _OTHERS]
    if not known:
        hint = "known are " + ", ".join(sorted(readers.READERS.keys() - _OTHERS))
        if any(child.is_dir() for child in path.iterdir()):
            hint = f"folders in it are not read; name one of them, or move its files; {hint}"
        raise DataError("no data file in this folder", where=name, hint=hint)
    formats = sorted({file.suffix.lower() for file in known})
    if len(formats) > 1:
        raise DataError(
            f"files of several formats: {', '.join(formats)}",
            where=name,
            hint="put those that are the text into a folder of their own",
        )
    if left := [file.name for file in found if file not in known]:
        logger.warning("%s: files of other kinds are not read: %s", name, columns.quoted(left))
    return {file: f"{name.rstrip('/')}/{file.name}" for file in known}


def _state(files: Collection[Path]) -> list[tuple[int, int]]:
    """Return what changes when a file does."""
    found = [path.stat() for path in files if path.exists()]
    return [(status.st_size, status.st_mtime_ns) for status in found]


def _forms(files: Mapping[Path, str]) -> Iterator[str]:
    """Say of which text files blank lines separate the documents, as far as nobody sets it."""
    for file, source in files.items():
        if file.suffix.lower() == ".txt" and text_lines.told(text_lines.blocks(file, source=source))[0]:
            yield f"{source}: blank lines separate its documents; documents: rows makes each line one"


def _documents(
    file: Path, source: str, text: str | None, form: DocumentForm, usual: Sequence[str]
) -> Iterator[list[str]]:
    if file.suffix.lower() != ".txt":
        numbers = columns.numbers((text,)) if file.suffix.lower() in (".csv", ".tsv") else ()
        yield from _cells(readers.stream(file, source=source, numbers=numbers, rows=ROWS), text, usual)
        return
    parts = text_lines.blocks(file, source=source)
    if form is DocumentForm.AUTO:
        separated, parts = text_lines.told(parts)
        form = DocumentForm.BLANK_LINES if separated else DocumentForm.ROWS
    yield from (text_lines.paragraphs if form is DocumentForm.BLANK_LINES else text_lines.rows)(parts)


def _cells(tables: Iterator[DataTable], text: str | None, usual: Sequence[str]) -> Iterator[list[str]]:
    """Read the column that the user named, where it is here, or a usual one."""
    column: str | None = None
    for table in tables:
        if column is None:
            there = next((name for name in (text, *usual) if name in table.columns), None)
            column = columns.choose(table, there or text, None, None, labelled=False).text
        yield texts.present(table, column)


def _changed(name: str) -> DataError:
    return DataError(
        "has changed since this run began",
        where=name,
        hint="run the command again, and leave the data as it is meanwhile",
    )
