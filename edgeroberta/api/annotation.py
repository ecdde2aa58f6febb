"""Answer all rows of a file, and lines as they are appended to one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeroberta.api.evaluation import load
from edgeroberta.api.results import Result, reporting
from edgeroberta.errors import DataError, EdgeRobertaError

if TYPE_CHECKING:
    from edgeroberta.annotation.filtering import Counts
    from edgeroberta.annotation.watching import Watched
    from edgeroberta.progress import Progress
    from edgeroberta.runtime import Runtime


@dataclass(frozen=True)
class AnnotationResult(Result):
    """What became of the rows of a file; ``errors`` where none of them could be answered."""

    output: str  # the file that was written, or ``-``
    counts: Counts  # rows that were read, refused and cut, and the seconds that took
    errors: tuple[EdgeRobertaError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the counts as a JSON object, the same as ``edgeroberta run -o FILE --json``."""
        first = self.counts.first
        return {
            "output": self.output,
            **{name: getattr(self.counts, name) for name in ("rows", "refused", "truncated", "seconds")},
            "first_refused": None if first is None else first.to_json(),
        }

    def __str__(self) -> str:
        counts = self.counts
        answered = counts.rows - counts.refused
        said = [f"{answered:,} row{'s' * (answered != 1)} answered in {counts.seconds:.1f} s"]
        if counts.first is not None:
            where = "" if counts.first.where is None else f"{counts.first.where}: "
            said.append(f"{counts.refused:,} not, the first one {where}{counts.first.what}")
        if counts.truncated:
            said.append(f"{counts.truncated:,} of longer texts than the model reads, which were cut")
        return "; ".join(said)


def annotate(
    bundle: str | os.PathLike[str] | Runtime,
    source: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    format: str | None = None,
    output_format: str | None = None,
    text: str | None = None,
    text_pair: str | None = None,
    pair: bool = False,
    on_error: str = "stop",
    prefix: str = "",
    scores: bool = False,
    prompt: str | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> AnnotationResult:
    """Answer all rows of a file, and write them with their answers; a million rows take no more memory.

    Args:
        bundle: The bundle's folder, or what :func:`load` returned, to choose the engine and its threads.
        source: CSV, TSV, JSON Lines, Parquet or a file of lines; ``-`` is standard input.
        output: CSV, TSV, JSON Lines or Parquet, which has its name once it is whole; ``-`` is standard
            output.
        format: How the source is written: ``csv``, ``tsv``, ``jsonl``, ``parquet`` or ``txt``; else as its
            name says.
        output_format: How the output is written; else as its name says, or as the source is.
        text: Column of the text, or of the question; else one of the usual names, as for :func:`compress`.
        text_pair: Column of the second text, or of the context.
        pair: A line without columns is two texts with a tab between them, of a model that takes both.
        on_error: What becomes of a row that cannot be read or answered: ``stop``, ``skip`` (it is left out)
            or ``null`` (it has no answer, and a column ``error`` says why).
        prefix: What the names of the answers' columns begin with.
        scores: Write the scores of all labels, too.
        prompt: Of an embedding model, name of what is put in front of texts; else its default.
        workers: Threads that share the rows, on a runtime that is opened with ``threads=1``: on several cores
            they answer more than one call of the engine with several threads.
        progress: Where to report; a bar in a terminal or notebook if not given.

    Returns:
        How many rows were answered, and how many not.

    Raises:
        BundleError: It is not a bundle, or a damaged one.
        DataError: The source cannot be read, its columns do not fit the model, or with ``stop``, a row
            cannot be answered: no file is written then.
        EngineError: The engine failed.
        UnavailableError: The engine, or pyarrow for Parquet, is not installed.
        UsageError: The output cannot be written, or has a column twice; there is no such format or choice.
    """
    from edgeroberta.annotation import filtering, formats, sinks
    from edgeroberta.annotation.reading import Wanted
    from edgeroberta.runtime.opening import require_count

    require_count("workers", workers)
    wanted = Wanted(formats.named(format, "--format"), text, text_pair, pair)
    options = filtering.FilterOptions(
        wanted,
        formats.named(output_format, "--output-format"),
        filtering.on_error(on_error),
        prefix,
        scores,
        prompt,
        workers,
    )
    name, place = os.fspath(source), os.fspath(output)
    sinks.check_place(place, name)
    with _opened(bundle) as runtime:
        counts = filtering.run(runtime, name, place, options, progress=reporting(progress))
    if counts.first is None or counts.refused < counts.rows:
        return AnnotationResult(place, counts)
    none = DataError("no row could be answered", where=name, hint=counts.first.hint, code=counts.first.code)
    return AnnotationResult(place, counts, (none,))


def watch(
    bundle: str | os.PathLike[str] | Runtime,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    text: str | None = None,
    text_pair: str | None = None,
    pair: bool = False,
    prompt: str | None = None,
    interval: float = 0.25,
) -> Iterator[Watched]:
    """Answer lines as they are appended to a file, until you stop asking.

    Args:
        bundle: The bundle's folder, or what :func:`load` returned.
        path: A file, which need not be there yet and may be rotated; a folder, of whose files (``.txt``,
            ``.log``, ``.jsonl``) each is watched; or ``-`` for standard input.
        format: ``txt`` or ``jsonl``; else as the name says.
        text: Of JSON Lines, field of the text; else ``text``, or ``question``.
        text_pair: Field of the second text; else ``text_pair``, or ``context``.
        pair: A line is two texts with a tab between them, of a model that takes both.
        prompt: Of an embedding model, name of what is put in front of texts; else its default.
        interval: Seconds between two looks at the file.

    Returns:
        An iterator over the lines from now on. Each has ``where`` (file and line), ``input``, and ``answer``,
        or ``error``, which says why it has none.

    Raises:
        BundleError: It is not a bundle, or a damaged one.
        UsageError: The file is not one of lines.
    """
    from edgeroberta.annotation import formats, watching
    from edgeroberta.annotation.reading import Wanted

    wanted = Wanted(formats.named(format, "--format"), text, text_pair, pair)
    with _opened(bundle) as runtime:
        yield from watching.watch(runtime, os.fspath(path), wanted, prompt=prompt, interval=interval)


def _opened(bundle: str | os.PathLike[str] | Runtime) -> contextlib.AbstractContextManager[Runtime]:
    """Return a runtime to be used: one that the caller has opened stays open."""
    if isinstance(bundle, str | os.PathLike):
        return load(bundle)
    return contextlib.nullcontext(bundle)
