"""``edgeroberta compress``: from a full-size model to a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import (
    P95,
    AllowPickle,
    BudgetHost,
    Debug,
    Keep,
    KeepExamples,
    Label,
    LabelFormat,
    Size,
    Speedup,
    Text,
    TextPair,
    data_spec,
)
from edgeroberta.errors import GateError, UsageError
from edgeroberta.extras import require

if TYPE_CHECKING:
    from edgeroberta.pipeline.sources import Request
    from edgeroberta.search.limits import Limits


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
    str | None, typer.Option(help="CSV, TSV, JSONL or Parquet file, a folder of them, or a Hub dataset.")
]
EvalFraction = Annotated[float | None, typer.Option(help="Part of --data held out, 0.1 if not given.")]
Reference = Annotated[
    Path | None, typer.Option(help="Folder that 'edgeroberta reference' made for MODEL and --data.")
]
Override = Annotated[
    list[str] | None, typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Override a recipe setting.")
]


def compress(
    model: Annotated[str | None, typer.Argument(help="Hugging Face model folder or Hub id.")] = None,
    recipe: Recipe = None,
    speedup: Speedup = None,
    p95: P95 = None,
    size: Size = None,
    keep: Keep = None,
    host: BudgetHost = None,
    data: Data = None,
    eval_data: Annotated[str | None, typer.Option(help="Rows for the gate; else part of --data.")] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    unlabelled: Annotated[str | None, typer.Option(help="File or folder of more texts to distil on.")] = None,
    eval_fraction: EvalFraction = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most this many rows of each file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    target: Annotated[str, typer.Option("-t", "--target", help="What the bundle is for.")] = "cpu",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the bundle goes.")] = None,
    work: Annotated[Path | None, typer.Option(help="Work folder; OUTPUT.work if not given.")] = None,
    reference: Reference = None,
    override: Override = None,
    keep_examples: KeepExamples = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, show what would run, stop.")] = False,
    allow_pickle: AllowPickle = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Compress a fine-tuned RoBERTa into a bundle that runs without torch.

    With neither MODEL nor --data, a small packaged RoBERTa and film reviews are used. A killed run
    resumes when the same command is given again.
    """
    require("compress", purpose="edgeroberta compress")
    from edgeroberta.pipeline.sources import Request
    from edgeroberta.search import limits

    columns = {
        "eval_data": eval_data,
        "text": text,
        "text_pair": text_pair,
        "label": label,
        "label_format": label_format,
    }
    options = {**columns, "unlabelled": unlabelled, "eval_fraction": eval_fraction}
    budget = limits.read(speedup, p95, size, keep)
    _check_host(budget, host)
    request = Request(
        model=model,
        data=data_spec(data, options, seed=seed, limit=limit),
        recipe=recipe or "int8-distill",
        overrides=(*(override or ()), *(("verify.keep_examples=true",) if keep_examples else ())),
        target=target,
        output=output,
        work=work,
        reference=reference,
        seed=seed,
        limit=limit,
        allow_pickle=allow_pickle,
    )
    if dry_run:
        _preview(request, budget, host=host, json=json)
    elif budget is not None:
        _within(request, budget, host=host, json=json)
    else:
        _compress(request, json=json)


def _compress(request: Request, *, json: bool) -> None:
    from edgeroberta import distributed
    from edgeroberta.pipeline import summary
    from edgeroberta.pipeline.compression import compress as run
    from edgeroberta.progress import Progress

    main = distributed.current().main
    result = run(request, progress=console.progress() if main else Progress())
    if main:
        if json:
            console.out_json(summary.to_json(result))
        else:
            console.say(summary.to_text(result, program=console.program()))
    if summary.verdict(result) == "FAIL":
        raise typer.Exit(GateError.exit_code)


def _check_host(budget: Limits | None, host: str | None) -> None:
    if budget is None and host is not None:
        raise UsageError(
            "--host is given but no budget",
            where="--host",
            hint="add --speedup or --p95; to measure a bundle on a device: edgeroberta bench BUNDLE --host",
        )


def _within(request: Request, budget: Limits, *, host: str | None, json: bool) -> None:
    from edgeroberta import distributed
    from edgeroberta.latency.remote import timer_on
    from edgeroberta.pipeline import summary
    from edgeroberta.progress import Progress
    from edgeroberta.search.budget import compress as run

    main = distributed.current().main
    timer = timer_on(host) if host else None
    progress = console.progress() if main else Progress()
    found = run(request, budget, progress=progress, host=host, timer=timer)
    if found.outcome is not None:
        if json:
            console.out_json({**summary.to_json(found.result), "budget": found.outcome.to_json()})
        else:
            console.say(summary.to_text(found.result, program=console.program(), budget=True))
            console.say(found.outcome.to_text(failed=found.failed))
    if found.failed:
        raise typer.Exit(GateError.exit_code)


def _preview(request: Request, budget: Limits | None, *, host: str | None, json: bool) -> None:
    from edgeroberta.pipeline import dry_run as outlook
    from edgeroberta.pipeline.compression import preview

    if budget is not None:
        # only here: candidates are described with what trains them, which imports torch
        from edgeroberta.search import preview as forecast

        found = forecast.forecast(request, budget, host=host)
        if json:
            console.out_json(forecast.to_json(found))
        else:
            console.say(forecast.to_text(found))
        return
    plan = preview(request)
    if json:
        console.out_json(outlook.to_json(plan))
        return
    console.out(plan.recipe.text.rstrip())
    console.say(outlook.to_text(plan))
