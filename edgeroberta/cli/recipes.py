"""``edgeroberta recipes``: the shipped recipes, one of them in full, or a stage's settings."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeroberta import api
from edgeroberta.cli import console
from edgeroberta.cli.options import Debug, Quiet, Verbose
from edgeroberta.errors import UsageError
from edgeroberta.extras import require
from edgeroberta.report.table import Table


def recipes(
    recipe: Annotated[str | None, typer.Argument(help="Show this recipe, every default written out.")] = None,
    stage: Annotated[
        str | None, typer.Option(help="List the settings of this stage instead, with their defaults.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """List the shipped recipes, or show one."""
    require("compress", purpose="edgeroberta recipes")
    if recipe is not None and stage is not None:
        raise UsageError("a recipe and --stage exclude each other", where="--stage")
    if stage is not None:
        _show_settings(stage, json=json)
    elif recipe is not None:
        from edgeroberta.recipe import load

        console.show(load(recipe), json=json)
    else:
        _list(json=json)


def _list(*, json: bool) -> None:
    found = api.list_recipes()
    if json:
        console.out_json([each.to_json() for each in found])
        return
    rows = [(each.name, " ".join(each.outline), each.description) for each in found]
    console.out(Table.of(("recipe", "stages", "description"), rows, words=None).text())


def _show_settings(stage: str, *, json: bool) -> None:
    from edgeroberta.recipe import stage_settings

    found = stage_settings.of_stage(stage)
    if json:
        console.out_json([setting._asdict() for setting in found])
        return
    rows = [(each.key, each.kind, each.default, each.description) for each in found]
    console.out(Table.of(("setting", "type", "default", "description"), rows, words=None).text())
