"""``edgeroberta recipes``: the shipped recipes, one of them in full, or a stage's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeroberta.cli import console
from edgeroberta.cli.options import Debug
from edgeroberta.errors import UsageError
from edgeroberta.extras import require

if TYPE_CHECKING:
    from edgeroberta.recipe import Recipe


def recipes(
    recipe: Annotated[str | None, typer.Argument(help="Show this recipe, every default written out.")] = None,
    stage: Annotated[
        str | None, typer.Option(help="List the settings of this stage instead, with their defaults.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """List the shipped recipes, or show one."""
    require("compress", purpose="edgeroberta recipes")
    if recipe is not None and stage is not None:
        raise UsageError("a recipe and --stage exclude each other", where="--stage")
    if stage is not None:
        _show_settings(stage, json=json)
    elif recipe is not None:
        _show(recipe, json=json)
    else:
        _list(json=json)


def _list(*, json: bool) -> None:
    from edgeroberta import recipe

    found = [recipe.load(name) for name in recipe.names()]
    if json:
        console.out_json([_described(each) for each in found])
        return
    rows = [
        (each.name, " ".join(step.stage.name for step in each.stages), each.description) for each in found
    ]
    console.out(console.table(("recipe", "stages", "description"), rows))


def _show(name: str, *, json: bool) -> None:
    from edgeroberta import recipe

    found = recipe.load(name)
    if json:
        console.out_json(_described(found))
    else:
        console.out(found.text.rstrip())


def _show_settings(stage: str, *, json: bool) -> None:
    from edgeroberta.recipe import settings

    found = settings.of_stage(stage)
    if json:
        console.out_json([setting._asdict() for setting in found])
        return
    rows = [(each.key, each.kind, each.default, each.description) for each in found]
    console.out(console.table(("setting", "type", "default", "description"), rows))


def _described(recipe: Recipe) -> dict[str, object]:
    return {
        "name": recipe.name,
        "description": recipe.description,
        "stages": [
            {"stage": step.stage.name, "config": step.config.model_dump(mode="json")}
            for step in recipe.stages
        ],
    }
