"""``edgeroberta run``: answer texts, the rows of a file, or lines as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import answer_lines, answer_source, console
from edgeroberta.cli.options import (
    Aggregation,
    Bundle,
    Debug,
    EngineCache,
    LongText,
    MaxAnswerTokens,
    NoAnswer,
    Quiet,
    Stride,
    Text,
    TextPair,
    TopK,
    Verbose,
)
from edgeroberta.errors import UsageError

if TYPE_CHECKING:
    from edgeroberta.api.annotation import AnnotationResult
    from edgeroberta.runtime import Runtime
    from edgeroberta.runtime.answers import Said
    from edgeroberta.runtime.encoding import Input


def run(
    bundle: Bundle,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Texts to answer; or one file (.csv, .tsv, .jsonl, .parquet, .txt, .log), or '-' for the"
            " lines of standard input, which a pipe needs not be named for.",
        ),
    ] = None,
    pair: Annotated[
        bool,
        typer.Option(
            "--pair", help="Inputs are pairs of texts: two TEXTs each; so are a question and its context."
        ),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="The file in place of TEXT, whatever its name; '-' is standard input.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="CSV, TSV, JSONL or Parquet: the rows with their answers; '-' is standard output.",
        ),
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Answer lines as they are appended to a file, or to a folder's; '-' is standard input.",
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Of what is read: csv, tsv, jsonl, parquet or txt; else as its name says.",
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Of what is written; else as its name says, or as what is read."),
    ] = None,
    text: Text = None,
    text_pair: TextPair = None,
    on_error: Annotated[
        str,
        typer.Option(
            metavar="WAY",
            help="With --output, rows that cannot be answered: stop, skip (left out), null (without answer).",
        ),
    ] = "stop",
    prefix: Annotated[
        str, typer.Option(help="With --output, what the names of the answers' columns begin with.")
    ] = "",
    scores: Annotated[
        bool, typer.Option("--scores", help="With --output, write the scores of all labels, too.")
    ] = False,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine to run on, or one for each tier of a cascade (openvino,onnxruntime); else the "
            "fastest in bench here, or the bundle's first that is installed."
        ),
    ] = None,
    tier: Annotated[
        str | None, typer.Option(metavar="NAME", help="Tier of a cascade that answers alone; else all do.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Threads of the engine, or with --output those that share the rows; else what the bundle's"
            " target says.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Most texts in one call of the engine.")] = 32,
    aggregation: Aggregation = None,
    long_text: LongText = None,
    stride: Stride = None,
    top_k: TopK = None,
    no_answer: NoAnswer = None,
    max_answer_tokens: MaxAnswerTokens = None,
    engine_cache: EngineCache = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Of an embedding model: name of what is put in front of texts; else its default."),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print the answers as JSON; with --output, what became of the rows."),
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Answer texts, the rows of a file, or lines as they come."""
    written = {"--output-format": output_format, "--prefix": prefix, "--scores": scores}
    _refuse_idle({**written, "--on-error": on_error != "stop"}, output, "is of what --output writes")
    unnamed = not texts and source is None
    source = answer_source.find(texts or [], source, output=output, watch=watch, format_=format_)
    columns = {"--format": format_, "--text": text, "--text-pair": text_pair}
    _refuse_idle(columns, source or watch, "is of a file that is read")
    if source is None and watch is None:
        _require_texts(texts or [], pair)
    reading = {"format": format_, "text": text, "text_pair": text_pair, "prompt": prompt}
    with api.load(
        bundle, engine=engine, tier=tier, threads=threads if output is None else 1, max_batch=batch,
        aggregation=aggregation, long_text=long_text, stride=stride, top_k=top_k, no_answer=no_answer,
        max_answer_tokens=max_answer_tokens, engine_cache=engine_cache,
    ) as runtime:  # fmt: skip
        _require_pairs(runtime, bundle, pair=pair, texts=source is None and watch is None)
        if watch is not None:
            _watch(runtime, watch, json=json, pair=pair, **reading)
        elif output is not None and source is not None:
            with console.ending_on_term():
                found = api.annotate(
                    runtime, source, output=output, output_format=output_format, on_error=on_error,
                    prefix=prefix, scores=scores, pair=pair, workers=threads or 1, progress=console.bar(),
                    **reading,
                )  # fmt: skip
            _tell(found, json=json)
        else:
            answers = _answers(runtime, texts or [], source, pair, reading)
            _show(bundle, runtime, answer_source.require_some(answers) if unnamed else answers, json=json)


def _refuse_idle(given: Mapping[str, object], needed: str | None, why: str) -> None:
    """Refuse options that would change nothing."""
    for option, value in given.items():
        if value and not needed:
            raise UsageError(why, where=option, hint="edgeroberta run BUNDLE FILE [--output FILE]")


def _require_texts(texts: list[str], pair: bool) -> None:
    """Refuse texts that are no pairs before the bundle is opened."""
    if pair and len(texts) % 2:
        raise UsageError(f"--pair takes texts two by two, but there are {len(texts)}", where="TEXT")


def _require_pairs(runtime: Runtime, bundle: str, *, pair: bool, texts: bool) -> None:
    """Refuse single texts where the model takes pairs, and the reverse."""
    task = runtime.task
    asks = task.optimum_task == "question-answering"
    if texts and task.pair and not pair and not asks:
        raise UsageError(
            "this model takes pairs of texts",
            where=str(bundle),
            hint=f"edgeroberta run {bundle} --pair 'one text' 'the other'",
        )
    if pair and not task.pair and not task.apart:
        raise UsageError(
            "this model takes single texts", where="--pair", hint=f"edgeroberta run {bundle} 'one text'"
        )


def _answers(
    runtime: Runtime, texts: list[str], source: str | None, pair: bool, reading: dict[str, str | None]
) -> Iterable[tuple[Input, Said]]:
    from edgeroberta.annotation import filtering, formats
    from edgeroberta.annotation.reading import Wanted

    if source is None:
        return filtering.texts(runtime, texts, pair=pair or runtime.task.pair, prompt=reading["prompt"])
    wanted = Wanted(formats.named(reading["format"], "--format"), reading["text"], reading["text_pair"], pair)
    return filtering.answers(runtime, source, filtering.FilterOptions(wanted, prompt=reading["prompt"]))


def _show(bundle: str, runtime: Runtime, answers: Iterable[tuple[Input, Said]], *, json: bool) -> None:
    if not json:
        for item, answer in answers:
            console.out(answer_lines.line(item, answer))
        return
    from edgeroberta.runtime.answers import to_json

    predictions = [to_json(item, answer) for item, answer in answers]
    about = {"engine": runtime.engine, "engine_version": runtime.engine_version}
    console.out_json({"bundle": str(bundle), **about, "predictions": predictions})


def _watch(runtime: Runtime, path: str, *, json: bool, pair: bool, **reading: str | None) -> None:
    """Print a line for each that is appended, at once; one that has no answer ends nothing."""
    from edgeroberta.runtime.answers import to_json

    for each in api.watch(runtime, path, pair=pair, **reading):  # type: ignore[arg-type]  # by their names
        if each.error is not None:
            console.say_error(each.error)
        elif each.answer is not None and each.input is not None:
            if json:
                console.out_line({"where": each.where, **to_json(each.input, each.answer)})
            else:
                console.out(answer_lines.line(each.input, each.answer))
            sys.stdout.flush()


def _tell(found: AnnotationResult, *, json: bool) -> None:
    """Say what became of the rows: as JSON on stdout if that is reading for, else for people."""
    if json:
        console.show(found, json=True)
    else:
        console.say(str(found))
    console.finish(found)
