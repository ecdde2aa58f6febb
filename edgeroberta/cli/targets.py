"""``edgeroberta targets``: what a bundle can be made for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import Debug


def targets(
    json: Annotated[bool, typer.Option("--json", help="Print the targets as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """List the classes of devices that bundles are made for, and which of them this machine is."""
    from edgeroberta import targets as known
    from edgeroberta.hardware import here
    from edgeroberta.targets.matching import matching

    found = [known.load(name) for name in known.names()]
    this = matching(here())
    if json:
        console.out_json([{**asdict(target), "here": target.name in this} for target in found])
        return
    rows = [
        (target.name, "yes" if target.name in this else "", ", ".join(target.engines), target.description)
        for target in found
    ]
    console.out(console.table(("target", "here", "engines", "description"), rows))
