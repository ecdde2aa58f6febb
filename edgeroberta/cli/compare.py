"""``edgeroberta compare``: two bundles beside each other."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, Label, LabelFormat, Quiet, Text, TextPair, Verbose


def compare(
    first: Annotated[
        str, typer.Argument(metavar="FIRST", help="Bundle that is compared with: a folder, or owner/name.")
    ],
    second: Annotated[
        str, typer.Argument(metavar="SECOND", help="The other bundle, of the same task and labels.")
    ],
    data: Annotated[
        str | None, typer.Option(help="Rows to compare on; those FIRST was made with if not given.")
    ] = None,
    eval_data: Annotated[
        str | None,
        typer.Option(help="Rows to compare on; else those once held out of --data, or all of another file."),
    ] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric that is shown; the one FIRST was judged by if not given.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Compare on at most this many rows.")] = 1000,
    engine: Annotated[
        str | None,
        typer.Option(help="Engine that both run on; else the first of each that is installed."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Texts per timed call.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads for one call.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each gets.")] = 5,
    keep_examples: Annotated[
        bool, typer.Option("--keep-examples", help="Show texts of the rows with other answers.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Compare two bundles on the same rows: answers, speed, size."""
    result = api.compare(
        first,
        second,
        data=data,
        text=text,
        text_pair=text_pair,
        label=label,
        label_format=label_format,
        metric=metric,
        eval_data=eval_data,
        rows=rows,
        engine=engine,
        batch=batch,
        threads=threads,
        rounds=rounds,
        keep_examples=keep_examples,
        progress=console.progress(),
    )
    console.show(result, json=json)
    console.finish(result)
