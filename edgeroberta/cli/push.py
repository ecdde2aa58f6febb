"""``edgeroberta push``: publish a bundle on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, Quiet, Verbose


def push(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle.")],
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub; made if there is none.")
    ],
    revision: Annotated[
        str | None, typer.Option(help="Branch, made if there is none; the main one if not given.")
    ] = None,
    message: Annotated[str | None, typer.Option(help="Message of the commit.")] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Everybody may see it; a new repository is private otherwise.")
    ] = False,
    with_examples: Annotated[
        bool,
        typer.Option("--with-examples", help="Publish texts of your data that the report was told to keep."),
    ] = False,
    publish_failed: Annotated[
        bool, typer.Option("--publish-failed", help="Publish a bundle whose gate says FAIL.")
    ] = False,
    allow_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Name of this computer or of its user that is no secret; repeatable."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show every file, the card, and what stays here; send nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was published as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Publish a bundle on the Hub, private unless told otherwise.

    All in one commit; answers of the baseline, texts of your data and paths stay here. A push that was
    killed resumes when the same command is given again.
    """
    result = api.push(
        bundle,
        repository,
        revision=revision,
        message=message,
        public=public,
        with_examples=with_examples,
        publish_failed=publish_failed,
        allow_names=allow_name or (),
        dry_run=dry_run,
    )
    console.show(result, json=json)
    console.finish(result)
