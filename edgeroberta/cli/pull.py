"""``edgeroberta pull``: fetch a bundle from the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, Quiet, Verbose


def pull(
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Bundle on the Hub: owner/name, owner/name@revision.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to copy it to; else it stays in the client's cache."),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; the main branch if not given.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the folder as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Fetch a bundle from the Hub, check it, and print its folder.

    Other commands take owner/name themselves; this is for what is carried to a device.
    """
    folder = str(api.pull(repository, output, revision=revision))
    if json:
        console.out_json({"bundle": folder})
    else:
        console.out(folder)
