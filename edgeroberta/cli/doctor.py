"""``edgeroberta doctor``: what works on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, Quiet, Verbose
from edgeroberta.errors import UnavailableError


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Run each engine once, and say what to install for the others."""
    result = api.doctor()
    console.show(result, json=json)
    if not result.passed:
        raise typer.Exit(UnavailableError.exit_code)
