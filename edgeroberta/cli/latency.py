"""``edgeroberta latency``: what layers of any shape cost on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, Html, Label, LabelFormat, Quiet, Text, TextPair, Verbose


def latency(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder.")],
    data: Annotated[
        str | None, typer.Option(help="Rows whose lengths count; all lengths if not given.")
    ] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    target: Annotated[str, typer.Option("-t", "--target", help="Class of device.")] = "cpu",
    engine: Annotated[
        str | None, typer.Option(help="Engine; the first of the target's if not given.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for one call; those of the target if not given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each probe gets.")] = 5,
    host: Annotated[
        str | None, typer.Option(help="Measure on user@host over ssh, or a host of the configuration.")
    ] = None,
    wheelhouse: Annotated[
        Path | None, typer.Option(help="With --host: folder of wheels, for devices without a package index.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure, also where there is a table.")] = False,
    html: Html = None,
    json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure what encoder layers of any heads and FFN width cost.

    The table is kept for later commands.
    """
    table = api.latency_table(
        model,
        data,
        text=text,
        text_pair=text_pair,
        label=label,
        label_format=label_format,
        target=target,
        engine=engine,
        threads=threads,
        rounds=rounds,
        host=host,
        wheelhouse=wheelhouse,
        fresh=fresh,
        html=html,
        progress=console.progress(),
    )
    console.show(table, json=json)
    for note in table.notes:
        console.say(note)
