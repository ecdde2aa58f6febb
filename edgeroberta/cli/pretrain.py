"""``edgeroberta pretrain``: from unlabelled text to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta import api, distributed
from edgeroberta.cli import console
from edgeroberta.cli.options import (
    AllowPickle,
    Debug,
    DryRun,
    JsonOutcome,
    Override,
    Quiet,
    Seed,
    Verbose,
    Work,
)

Recipe = Annotated[
    str,
    typer.Option(
        "-r", "--recipe", help="Recipe that ends in a checkpoint, by name or path: adapt, from-scratch."
    ),
]
Unlabelled = Annotated[
    str | None,
    typer.Option(
        help="Text file with a document on each line, CSV, TSV, JSONL or Parquet with a column of text, a"
        " folder of them, or a Hub dataset."
    ),
]
Text = Annotated[
    str | None, typer.Option(help="Column of the text; '#1' is the first one of a file without a header.")
]


def pretrain(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Hugging Face model folder or Hub id, with or without a head."),
    ] = None,
    recipe: Recipe = "adapt",
    unlabelled: Unlabelled = None,
    text: Text = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use at most this many documents, drawn at random.")
    ] = None,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the checkpoint goes.")] = None,
    work: Work = None,
    override: Override = None,
    dry_run: DryRun = False,
    allow_pickle: AllowPickle = False,
    json: JsonOutcome = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Train an encoder on unlabelled text, as RoBERTa was.

    It is delivered as a checkpoint. With neither MODEL nor --unlabelled, a small packaged RoBERTa and film
    reviews are used. A killed run resumes when the same command is given again.
    """
    run = api.preview_pretraining if dry_run else api.pretrain
    result = run(
        model,
        unlabelled,
        output=output,
        recipe=recipe,
        settings=override or (),
        text=text,
        limit=limit,
        seed=seed,
        work=work,
        allow_pickle=allow_pickle,
        progress=console.progress(),
    )
    if not distributed.current().main:
        return
    if json:
        console.out_json(result.to_json())
    elif isinstance(result, api.PretrainingResult):
        console.say(result.to_text(program=console.program()))
    else:
        console.out(result.recipe.text.rstrip())
        console.say(str(result))
