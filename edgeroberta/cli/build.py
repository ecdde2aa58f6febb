"""``edgeroberta build``: build a bundle's engines on this device and keep the faster one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Bundle, Debug, Label, LabelFormat, Quiet, Text, TextPair, Verbose, names


def build(
    bundle: Bundle,
    target: Annotated[
        str | None, typer.Option("-t", "--target", help="Device class, for its cap on memory.")
    ] = None,
    engines: Annotated[
        str | None, typer.Option(help="Engines to build, with commas; all that are built on a device.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Rows to hold the engines to the bundle's gate on; no gate if not given."),
    ] = None,
    eval_data: Annotated[
        str | None,
        typer.Option(help="Rows for the gate; else those once held out of --data, or all of another file."),
    ] = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    label_format: LabelFormat = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of 'edgeroberta reference'; the bundle's own if not given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine is timed in.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Build engines on this device, and keep the faster that passes.

    They are built in int8 and in fp16, checked and timed.
    """
    result = api.build(
        bundle,
        data,
        text=text,
        text_pair=text_pair,
        label=label,
        label_format=label_format,
        eval_data=eval_data,
        target=target,
        engines=names(engines),
        reference=reference,
        rounds=rounds,
        progress=console.progress(),
    )
    console.show(result, json=json)
    console.finish(result)
