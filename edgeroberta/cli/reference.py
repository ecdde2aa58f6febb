"""``edgeroberta reference``: measure the baseline here, for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import (
    AllowPickle,
    Debug,
    Label,
    LabelFormat,
    Metric,
    Perturb,
    Quiet,
    Swaps,
    Text,
    TextPair,
    Verbose,
    names,
)


def reference(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Hugging Face model folder or Hub id, fine-tuned.")
    ],
    data: Annotated[str, typer.Option(help="Rows, as given to 'edgeroberta compress'.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write the reference into.")],
    eval_data: Annotated[str | None, typer.Option(help="Rows for the gate; else part of --data.")] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    metric: Metric = None,
    eval_fraction: Annotated[float, typer.Option(help="Part of --data that is held out.")] = 0.1,
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most this many rows of each file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, as given to 'edgeroberta compress'.")] = 0,
    long_text: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            help="Texts longer than the model, as build.long_text of the recipe says: truncate or windows.",
        ),
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="With windows: what build.stride of the recipe says; else a quarter.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Type it runs in: float32, float16 or bfloat16.")] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the timed calls on a CPU.")] = 1,
    swaps: Swaps = None,
    perturb: Perturb = None,
    allow_pickle: AllowPickle = False,
    json: Annotated[bool, typer.Option("--json", help="Print the reference as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Store what the baseline answers, for use on another machine.

    Its speed is stored, too. Other commands take the folder as --reference.
    """
    found = api.reference(
        model,
        data,
        output=output,
        text=text,
        text_pair=text_pair,
        label=label,
        label_format=label_format,
        metric=metric,
        eval_data=eval_data,
        eval_fraction=eval_fraction,
        limit=limit,
        seed=seed,
        long_text=long_text,
        stride=stride,
        device=device,
        dtype=dtype,
        threads=threads,
        swaps=names(swaps) or (),
        perturb=names(perturb) or (),
        allow_pickle=allow_pickle,
    )
    console.show(found, json=json)
    if not json:
        console.say(f"written to {output}")
