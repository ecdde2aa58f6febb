"""``edgeroberta inspect``: what is in a bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Bundle, Debug, Quiet, Verbose


def inspect(
    bundle: Bundle,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Show what is in a bundle, layer by layer.

    No engine is opened. Exit code 1 when a file has changed.
    """
    result = api.inspect_bundle(bundle)
    console.show(result, json=json)
    console.finish(result)
