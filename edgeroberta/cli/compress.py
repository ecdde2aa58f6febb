"""``edgeroberta compress``: from a full-size model to a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import data_spec
from edgeroberta.errors import GateError
from edgeroberta.extras import require

if TYPE_CHECKING:
    from edgeroberta.pipeline.compression import Request


def compress(
    model: Annotated[str | None, typer.Argument(help="Hugging Face model folder or Hub id.")] = None,
    recipe: Annotated[
        str, typer.Option("-r", "--recipe", help="Name of a shipped recipe, or path of a YAML file.")
    ] = "int8-distill",
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

    columns = {"eval_data": eval_data, "text": text, "text_pair": text_pair, "label": label}
    options = {**columns, "unlabelled": unlabelled, "eval_fraction": eval_fraction}
    request = Request(
        model=model,
        data=data_spec(data, options, seed=seed, limit=limit),
        recipe=recipe,
        overrides=tuple(override or ()),
        target=target,
        output=output,
        work=work,
        reference=reference,
        seed=seed,
        limit=limit,
        allow_pickle=allow_pickle,
    )
    if dry_run:
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


def _preview(request: Request, *, json: bool) -> None:
    from edgeroberta.pipeline import outlook
    from edgeroberta.pipeline.compression import preview

    plan = preview(request)
    if json:
        console.out_json(outlook.to_json(plan))
        return
    console.out(plan.recipe.text.rstrip())
    console.say(outlook.to_text(plan))
