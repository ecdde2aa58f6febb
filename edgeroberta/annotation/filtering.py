"""From a source to a sink: every row answered, in its order, in memory that does not grow with the rows."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from edgeroberta.annotation import answer_columns, answering, sinks, sources
from edgeroberta.annotation.answering import Answered, answer_blocks
from edgeroberta.annotation.blocks import Block
from edgeroberta.annotation.formats import STDIN, STDOUT, Format, of_file
from edgeroberta.annotation.pacing import Pace
from edgeroberta.annotation.reading import SKIP, Wanted
from edgeroberta.annotation.sources import Source
from edgeroberta.errors import DataError, EdgeRobertaError, UsageError
from edgeroberta.progress import Progress
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.answers import Said
from edgeroberta.runtime.embedding_texts import Prompt
from edgeroberta.runtime.encoding import Input
from edgeroberta.tasks import Problem, Similarity, Word

logger = logging.getLogger(__name__)


class OnError(Word):
    """What becomes of a row that cannot be read, or that the model refuses."""

    STOP = "stop"  #: the command ends, with the row named; no file is written
    SKIP = "skip"  #: the row is left out
    NULL = "null"  #: the row is written without an answer, and a column ``error`` says why


@dataclass(frozen=True)
class FilterOptions:
    """How rows are read, answered and written."""

    wanted: Wanted = field(default_factory=Wanted)  # how the source is read
    output_format: Format | None = None  # how rows are written; None where the output's name says it
    on_error: OnError = OnError.STOP
    prefix: str = ""  # what the names of the answers' columns begin with
    scores: bool = False  # whether the scores of all labels are written
    prompt: Prompt = None  # of an embedding model, what is put in front of texts
    workers: int = 1  # threads that share the rows; each calls the engine


@dataclass
class Counts:
    """What became of the rows."""

    rows: int = 0  # rows that were read
    refused: int = 0  # of these, rows without an answer
    truncated: int = 0  # texts that were longer than the model, and cut
    first: EdgeRobertaError | None = None  # why the first of the rows without an answer has none
    seconds: float = 0.0


def answers(runtime: Runtime, source: str, options: FilterOptions) -> Iterator[tuple[Input, Said]]:
    """Answer the rows of a source, one after the other; what stands before one that is refused comes first.

    Raises the error of the first row that has no answer.
    """
    wanted = options.wanted
    if source == STDIN and wanted.format is None:  # what is answered is shown beside its answer
        wanted = replace(wanted, format=Format.TXT)
    with sources.opened(source, runtime.task, wanted) as rows:
        for block, found in answer_blocks(runtime, rows.blocks(Pace()), prompt=options.prompt):
            yield from stopping(block, found)


def texts(
    runtime: Runtime, given: Sequence[str], *, pair: bool, prompt: Prompt = None
) -> Iterator[tuple[Input, Said]]:
    """Answer texts, or with ``pair`` two and two of them, as :func:`answers` does rows."""
    if pair and len(given) % 2:
        what = f"a question and its context are two texts, but there are {len(given)}"
        raise UsageError(what, where="TEXT", hint="edgeroberta run BUNDLE 'a question' 'its context'")
    inputs: list[Input] = list(zip(given[::2], given[1::2], strict=True)) if pair else list(given)
    places = [f"input {number}" for number in range(len(inputs))]
    found = answering.answer(runtime, inputs, places, prompt=prompt, hint=None)
    yield from stopping(Block(inputs, places, len(inputs)), found)


def stopping(block: Block, found: Sequence[Answered]) -> Iterator[tuple[Input, Said]]:
    """Give rows with their answers up to the first without one, whose error is raised."""
    for asked, answer in zip(block.asked, found, strict=True):
        if isinstance(answer, EdgeRobertaError):
            raise answer
        assert not isinstance(asked, EdgeRobertaError)  # what cannot be read has no answer
        yield asked, answer


def run(runtime: Runtime, source: str, output: str, options: FilterOptions, *, progress: Progress) -> Counts:
    """Write the rows of a source with their answers; what is wrong with all of them is told before the first.

    ``source``, ``output``: files, or ``-`` for standard input and output. An output file has its name once it
    is whole. Returns what became of the rows.
    """
    sinks.check_place(output, source)
    counts, started = Counts(), time.monotonic()
    with sources.opened(source, runtime.task, options.wanted) as rows:
        format_ = options.output_format or _format(output, rows)
        columns = _columns(runtime, rows, options)
        answer_columns.refuse_clashes(rows.names, columns, source)
        read_as = "each row as it says" if rows.reading is None else rows.reading
        logger.info("%s: %s, %s; on %s", source, rows.format, read_as, runtime.engine)
        logger.info("%s: %s with %s", output, format_, ", ".join(each.name for each in columns))
        with (
            sinks.opened(output, format_, rows, columns) as sink,
            progress.bar("run", rows.total, rows.unit) as advance,
        ):
            read = 0
            answers = answer_blocks(
                runtime, rows.blocks(Pace()), prompt=options.prompt, workers=options.workers
            )
            for block, found in answers:
                if runtime.task.apart:
                    found = _of_one_kind(block, found, pairs=rows.pairs)
                if rows.format is Format.JSONL:  # each row has its own columns
                    _refuse_clashes(block, columns)
                _write(sink, block, found, columns, options, counts)
                rate = counts.rows / max(time.monotonic() - started, 1e-9)
                advance(block.read - read if rows.total else len(block), f"{rate:,.0f} rows/s")
                read = block.read
    counts.seconds = time.monotonic() - started
    return counts


def _format(output: str, rows: Source) -> Format:
    if output != STDOUT:
        return of_file(output, "--output-format")
    return Format.JSONL if rows.format is Format.TXT else rows.format


def _columns(runtime: Runtime, rows: Source, options: FilterOptions) -> list[answer_columns.AnswerColumn]:
    task = runtime.task
    found = answer_columns.columns(
        task,
        pairs=rows.pairs,
        scores=options.scores,
        tiers=bool(runtime.tiers),
        dimensions=task.dimensions if task.problem is Problem.EMBEDDING else None,
        prefix=options.prefix,
    )
    if options.on_error is OnError.NULL:
        found.append(answer_columns.error_column(options.prefix))
    return found


def _refuse_clashes(block: Block, columns: Sequence[answer_columns.AnswerColumn]) -> None:
    answered = {each.name for each in columns}
    if not answered.isdisjoint(block.names()):
        for record, where in zip(block.records(range(len(block))), block.places, strict=True):
            answer_columns.refuse_clashes(list(record), columns, where)


def _of_one_kind(block: Block, found: Sequence[Answered], *, pairs: bool) -> list[Answered]:
    """Refuse pairs among single texts, and single texts among pairs: they have other columns."""
    other = "a single text, and the first row is a pair" if pairs else "a pair, and the first row is one text"
    return [
        DataError(other, where=where, hint=SKIP)
        if not isinstance(each, EdgeRobertaError) and isinstance(each, Similarity) != pairs
        else each
        for each, where in zip(found, block.places, strict=True)
    ]


def _write(
    sink: sinks.Sink,
    block: Block,
    found: Sequence[Answered],
    columns: Sequence[answer_columns.AnswerColumn],
    options: FilterOptions,
    counts: Counts,
) -> None:
    """Write a block as far as its rows allow, and count them."""
    wrong = [row for row, each in enumerate(found) if isinstance(each, EdgeRobertaError)]
    kept = list(range(len(block)))
    if wrong and options.on_error is OnError.STOP:
        kept = kept[: wrong[0]]
    elif wrong and options.on_error is OnError.SKIP:
        kept = [row for row in kept if not isinstance(found[row], EdgeRobertaError)]
    said = [found[row] for row in kept]
    counts.rows += len(block)
    counts.refused += len(wrong)
    counts.truncated += sum(getattr(each, "truncated", False) for each in said)
    if kept:
        sink.write(block, kept, [_cells(each, said, options) for each in columns])
    if wrong:
        first = found[wrong[0]]
        assert isinstance(first, EdgeRobertaError)  # so they were chosen
        counts.first = counts.first or first
        if options.on_error is OnError.STOP:
            raise first


def _cells(
    column: answer_columns.AnswerColumn, said: Sequence[Answered], options: FilterOptions
) -> list[object]:
    if column.name == f"{options.prefix}error":
        return [f"{each.code}: {each.what}" if isinstance(each, EdgeRobertaError) else None for each in said]
    return [None if isinstance(each, EdgeRobertaError) else column.of(each) for each in said]


def on_error(name: str) -> OnError:
    """Return the choice of a name. Raises UsageError: there is none."""
    try:
        return OnError(name)
    except ValueError:
        raise UsageError(
            f"there is no such choice: {name!r}", where="--on-error", hint=", ".join(OnError)
        ) from None
