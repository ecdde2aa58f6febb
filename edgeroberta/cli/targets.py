"""``edgeroberta targets``: what a bundle can be made for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, Quiet, Verbose
from edgeroberta.report.table import Table


def targets(
    json: Annotated[bool, typer.Option("--json", help="Print the targets as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """List the classes of devices, and which of them this machine is."""
    from edgeroberta.hardware import machine_facts
    from edgeroberta.targets.matching import matching

    found = api.list_targets()
    this = matching(machine_facts())
    if json:
        console.out_json([{**asdict(target), "here": target.name in this} for target in found])
        return
    rows = [
        (target.name, "yes" if target.name in this else "", ", ".join(target.engines), target.description)
        for target in found
    ]
    console.out(Table.of(("target", "here", "engines", "description"), rows, words=None).text())
