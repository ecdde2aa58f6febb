"""``edgeroberta targets``: what a bundle can be made for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from edgeroberta.cli import console


def targets(
    json: Annotated[bool, typer.Option("--json", help="Print the targets as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """List the classes of devices that bundles are made for."""
    from edgeroberta import targets as known

    found = [known.load(name) for name in known.names()]
    if json:
        console.out_json([asdict(target) for target in found])
        return
    rows = [(target.name, ", ".join(target.engines), target.description) for target in found]
    console.out(console.table(("target", "engines", "description"), rows))
