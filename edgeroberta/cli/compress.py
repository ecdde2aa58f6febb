"""``edgeroberta compress``: from a baseline to a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta import api, distributed
from edgeroberta.cli import console
from edgeroberta.cli.options import (
    P95,
    P99,
    AllowPickle,
    BudgetHost,
    Debug,
    DryRun,
    JsonOutcome,
    Keep,
    KeepExamples,
    Label,
    LabelFormat,
    Metric,
    Override,
    Pooling,
    Quiet,
    Seed,
    Size,
    Speedup,
    TaskName,
    Text,
    TextPair,
    Verbose,
    Work,
)

if TYPE_CHECKING:
    from edgeroberta.api import CompressionResult
    from edgeroberta.pipeline.dry_run import Preview
    from edgeroberta.search.preview import BudgetPreview
Recipe = Annotated[
    str | None,
    typer.Option(
        "-r",
        "--recipe",
        help="Name of a shipped recipe, or path of a YAML file; int8-distill if not given. With a budget,"
        " how smaller models learn.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="CSV, TSV, JSONL, Parquet or CoNLL file, SQuAD's JSON, a folder of them, or a Hub dataset."
    ),
]
EvalFraction = Annotated[float | None, typer.Option(help="Part of --data held out, 0.1 if not given.")]
Reference = Annotated[
    Path | None, typer.Option(help="Folder that 'edgeroberta reference' made for MODEL and --data.")
]


def compress(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Hugging Face model folder or Hub id.")
    ] = None,
    recipe: Recipe = None,
    speedup: Speedup = None,
    p95: P95 = None,
    p99: P99 = None,
    size: Size = None,
    keep: Keep = None,
    host: BudgetHost = None,
    data: Data = None,
    eval_data: Annotated[str | None, typer.Option(help="Rows for the gate; else part of --data.")] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    metric: Metric = None,
    task: TaskName = None,
    pooling: Pooling = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(help="File or folder of more texts to distil on, or to pre-train on."),
    ] = None,
    eval_fraction: EvalFraction = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most this many rows of each file.")] = None,
    seed: Seed = 0,
    target: Annotated[str, typer.Option("-t", "--target", help="What the bundle is for.")] = "cpu",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the bundle goes.")] = None,
    work: Work = None,
    reference: Reference = None,
    override: Override = None,
    keep_examples: KeepExamples = False,
    dry_run: DryRun = False,
    allow_pickle: AllowPickle = False,
    json: JsonOutcome = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Make a small, fast bundle of a fine-tuned RoBERTa or BERT.

    The bundle runs without torch. With neither MODEL nor --data, a small packaged RoBERTa and film
    reviews are used. A killed run resumes when the same command is given again.
    """
    run = api.preview if dry_run else api.compress
    result = run(
        model,
        data,
        output=output,
        recipe=recipe or "int8-distill",
        settings=override or (),
        target=target,
        speedup=speedup,
        p95=p95,
        p99=p99,
        size=size,
        keep=keep,
        host=host,
        text=text,
        text_pair=text_pair,
        label=label,
        label_format=label_format,
        metric=metric,
        task=task,
        pooling=pooling,
        eval_data=eval_data,
        eval_fraction=eval_fraction,
        unlabelled=unlabelled,
        limit=limit,
        seed=seed,
        reference=reference,
        work=work,
        keep_examples=keep_examples,
        allow_pickle=allow_pickle,
        progress=console.progress(),
    )
    if distributed.current().main:
        _show(result, json=json)
    if isinstance(result, api.CompressionResult):
        console.finish(result)


def _show(result: CompressionResult | Preview | BudgetPreview, *, json: bool) -> None:
    if json:
        console.out_json(result.to_json())
    elif isinstance(result, api.CompressionResult):
        console.say(result.to_text(program=console.program()))
    else:
        console.out(result.recipe.text.rstrip())
        console.say(str(result))
