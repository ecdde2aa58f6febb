"""``edgeroberta compress``: from a full-size model to a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import data_spec
from edgeroberta.errors import GateError, UsageError
from edgeroberta.extras import require

if TYPE_CHECKING:
    from edgeroberta.pipeline.compression import Request
    from edgeroberta.planning.limits import Limits


def compress(
    model: Annotated[str | None, typer.Argument(help="Hugging Face model folder or Hub id.")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "-r",
            "--recipe",
            help="Name of a shipped recipe, or path of a YAML file; int8-distill if not given. With a budget,"
            " how smaller models learn.",
        ),
    ] = None,
    speedup: Annotated[
        float | None, typer.Option(help="Budget: times faster than the full-size model in float.")
    ] = None,
    p95: Annotated[
        str | None, typer.Option(help="Budget: longest 95th percentile of a call: 4ms, 0.004s, 4000us.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Budget: largest bundle on disk: 12MB, 800KB.")] = None,
    keep: Annotated[
        float | None, typer.Option(help="With a budget: share of the metric to keep, 0.98 if not given.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="With a budget: user@host of the device, or a configured host."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="CSV, TSV, JSONL or Parquet file, a folder of them, or a Hub dataset.")
    ] = None,
    eval_data: Annotated[str | None, typer.Option(help="Rows for the gate; else part of --data.")] = None,
    text: Annotated[str | None, typer.Option(help="Column of the text; '#6' is the sixth column.")] = None,
    text_pair: Annotated[str | None, typer.Option(help="Column of the second text.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label or value.")] = None,
    unlabelled: Annotated[str | None, typer.Option(help="File or folder of more texts to distil on.")] = None,
    eval_fraction: Annotated[
        float | None, typer.Option(help="Part of --data held out, 0.1 if not given.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most this many rows of each file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    target: Annotated[str, typer.Option("-t", "--target", help="What the bundle is for.")] = "cpu",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the bundle goes.")] = None,
    work: Annotated[Path | None, typer.Option(help="Work folder; OUTPUT.work if not given.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder that 'edgeroberta reference' made for MODEL and --data.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Override a recipe setting.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, show what would run, stop.")] = False,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Accept pytorch_model.bin where safetensors are missing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Compress a fine-tuned RoBERTa into a bundle that runs without torch.

    With neither MODEL nor --data, a small packaged RoBERTa and film reviews are used. A killed run
    resumes when the same command is given again.
    """
    require("compress", purpose="edgeroberta compress")
    from edgeroberta.pipeline.compression import Request
    from edgeroberta.planning import limits

    columns = {"eval_data": eval_data, "text": text, "text_pair": text_pair, "label": label}
    options = {**columns, "unlabelled": unlabelled, "eval_fraction": eval_fraction}
    budget = limits.read(speedup, p95, size, keep)
    _check_budget(budget, host=host, dry_run=dry_run)
    request = Request(
        model=model,
        data=data_spec(data, options, seed=seed, limit=limit),
        recipe=recipe or "int8-distill",
        overrides=tuple(override or ()),
        target=target,
        output=output,
        work=work,
        reference=reference,
        seed=seed,
        limit=limit,
        allow_pickle=allow_pickle,
    )
    if budget is not None:
        _within(request, budget, host=host, json=json)
    elif dry_run:
        _preview(request, json=json)
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
            console.say(summary.to_text(result))
    if summary.verdict(result) == "FAIL":
        raise typer.Exit(GateError.exit_code)


def _check_budget(budget: Limits | None, *, host: str | None, dry_run: bool) -> None:
    if budget is None and host is not None:
        raise UsageError(
            "--host is given but no budget",
            where="--host",
            hint="add --speedup or --p95; to measure a bundle on a device: edgeroberta bench BUNDLE --host",
        )
    if budget is not None and dry_run:
        raise UsageError(
            "what a budget comes to is known when the device has been measured",
            where="--dry-run",
            hint="leave --dry-run out; an impossible budget is refused before any training",
        )


def _within(request: Request, budget: Limits, *, host: str | None, json: bool) -> None:
    from edgeroberta import distributed
    from edgeroberta.latency.remote import timer_on
    from edgeroberta.pipeline import summary
    from edgeroberta.pipeline.budget import compress as run
    from edgeroberta.progress import Progress

    main = distributed.current().main
    timer = timer_on(host) if host else None
    progress = console.progress() if main else Progress()
    found = run(request, budget, progress=progress, host=host, timer=timer)
    if found.outcome is not None:
        if json:
            console.out_json({**summary.to_json(found.result), "budget": found.outcome.to_json()})
        else:
            console.say(summary.to_text(found.result))
            console.say(found.outcome.to_text(failed=found.failed))
    if found.failed:
        raise typer.Exit(GateError.exit_code)


def _preview(request: Request, *, json: bool) -> None:
    from edgeroberta.pipeline import outlook
    from edgeroberta.pipeline.compression import preview

    plan = preview(request)
    if json:
        console.out_json(outlook.to_json(plan))
        return
    console.out(plan.recipe.text.rstrip())
    console.say(outlook.to_text(plan))
