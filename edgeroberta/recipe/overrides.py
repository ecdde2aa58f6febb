"""Settings that win over those of a recipe's file: ``stage.key=value``, or ``tier.stage.key=value``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeroberta.errors import RecipeError, did_you_mean
from edgeroberta.recipe.document import TIERS, RawRecipe, RawStage
from edgeroberta.storage import yamltext


@dataclass(frozen=True, eq=False)
class OverrideSource:
    """Which field an override set."""

    stage: RawStage  # the stage that has it
    path: tuple[str, ...]  # keys that lead to the field
    text: str  # the override as written


def apply(recipe: RawRecipe, override: str) -> OverrideSource:
    """Apply an override to the raw stages in place; returns where it went, to blame errors on.

    A stage of a tier is named with its tier, ``tiny.distill.epochs=1``; without where only one stage of the
    whole recipe has that name. Raises RecipeError: there is no such stage, or more than one.
    """
    where = f"--set {override}"
    target, equals, value = override.partition("=")
    name, *path = target.strip().split(".")
    if not equals or not path or not all(path):
        raise RecipeError("an override is written stage.key=value", where=where)
    stage, path = _find(recipe, name, path, where)
    if stage.tiers and path[0] == TIERS:
        raise RecipeError(
            "tiers are not set as a whole",
            where=where,
            hint=f"a setting of a tier's stage: --set {stage.tiers[0].name}.STAGE.KEY=VALUE",
        )
    values = stage.values
    for key in path[:-1]:
        inner = values.get(key)
        if inner is not None and not isinstance(inner, Mapping):
            raise RecipeError(f"{key} is a single value; it has no key {path[-1]!r}", where=where)
        values[key] = dict(inner or {})
        values = values[key]
    values[path[-1]] = yamltext.parse(value, where=where)
    return OverrideSource(stage, tuple(path), where)


def _find(recipe: RawRecipe, name: str, path: list[str], where: str) -> tuple[RawStage, list[str]]:
    """Return the stage that is meant, and the keys that lead to the field in it."""
    tiers = {tier.name: tier for stage in recipe.stages for tier in stage.tiers}
    stages = list(recipe.flat())
    # A tier may be called as a stage is; no setting is, so that what follows tells which is meant.
    also_stage = any(stage.name == name for stage in stages)
    if name not in tiers or (also_stage and all(stage.name != path[0] for stage in tiers[name].stages)):
        return _named(stages, name, where, "this recipe"), path
    if len(path) < 2:
        raise RecipeError("an override of a tier is written tier.stage.key=value", where=where)
    return _named(tiers[name].stages, path[0], where, f"the tier {name!r}"), path[1:]


def _named(items: Sequence[RawStage], name: str, where: str, whose: str) -> RawStage:
    found = re.fullmatch(r"(.+)\[(\d{1,4})\]", name)
    wanted, nth = (found[1], int(found[2])) if found else (name, None)
    meant = [each for each in items if each.name == wanted]
    present = list(dict.fromkeys(each.name for each in items))
    if not meant:
        near = did_you_mean(wanted, present)
        raise RecipeError(
            f"{whose} has no stage {wanted!r}", where=where, hint=near or f"stages: {', '.join(present)}"
        )
    owners = list(dict.fromkeys(each.tier for each in meant))
    if len(owners) > 1:
        tiers = [owner for owner in owners if owner is not None]
        raise RecipeError(
            f"{len(owners)} tiers have a stage {wanted!r}" if len(tiers) == len(owners) else
            f"both the recipe and a tier have a stage {wanted!r}",
            where=where,
            hint=f"write {tiers[0]}.{wanted}",
        )  # fmt: skip
    if nth is None and len(meant) > 1:
        raise RecipeError(
            f"{whose} has {len(meant)} stages {wanted!r}", where=where, hint=f"write {wanted}[0]"
        )
    if (nth or 0) >= len(meant):
        raise RecipeError(f"{whose} has no stage {name!r}", where=where)
    return meant[nth or 0]
