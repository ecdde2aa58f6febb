"""Which stages can follow one another, in a recipe and in a tier of it."""

from __future__ import annotations

from collections.abc import Sequence

from edgeroberta import stages
from edgeroberta.errors import RecipeError
from edgeroberta.recipe.document import RawStage, RawTier
from edgeroberta.storage.artifact import Kind

#: The order in which kinds of artifact are made; a recipe never goes back.
ORDER = (Kind.CHECKPOINT, Kind.GRAPH, Kind.DRAFT, Kind.REPORT, Kind.BUNDLE)
#: Kinds that a tier makes: what comes after is made of all tiers together.
OF_TIERS = (Kind.CHECKPOINT, Kind.GRAPH, Kind.DRAFT)


def check(items: Sequence[RawStage], where: str) -> None:
    """Refuse a recipe whose stages cannot follow one another. ``where``: name of its file."""
    made = _follow(items, where)
    # A checkpoint that was made of text alone is delivered as it is.
    if Kind.BUNDLE not in made and not all(stages.get(each.name).of_text for each in items):
        raise RecipeError(
            "the recipe makes no bundle", where=f"{where}: stages", hint="end it with '- bundle: {}'"
        )
    cascade = next((each for each in items if each.tiers), None)
    for each in items if cascade else ():
        kind = stages.get(each.name).writes
        if each is not cascade and kind in OF_TIERS[1:]:
            raise RecipeError(
                f"{each.name} makes a {kind} that no tier has a use for",
                where=f"{where}: {each.place}",
                hint="put it among the stages of a tier",
            )
    for tier in cascade.tiers if cascade else ():
        _check_tier(tier, where)


def _check_tier(tier: RawTier, where: str) -> None:
    for each in tier.stages:
        stage = stages.get(each.name)
        if stage.writes not in OF_TIERS:
            raise RecipeError(
                f"{each.name} cannot be a stage of a tier",
                where=f"{where}: {each.place}",
                hint="put it among the recipe's own stages, behind the cascade",
            )
        if each.name in stages.TEACHER_STAGES:
            raise RecipeError(
                f"{each.name} makes the baseline, which all tiers are compared with",
                where=f"{where}: {each.place}",
                hint="put it among the recipe's own stages, before the cascade",
            )
    if Kind.DRAFT not in _follow(tier.stages, where):
        raise RecipeError(
            f"the tier {tier.name!r} ends before it can answer",
            where=f"{where}: {tier.place}.stages",
            hint="end it with '- build: {}'",
        )


def _follow(items: Sequence[RawStage], where: str) -> dict[Kind, str]:
    """Check the order of a chain of stages; returns the last stage that made each kind of artifact."""
    made: dict[Kind, str] = {Kind.CHECKPOINT: "the model"}
    passed: dict[str, None] = {}  # in order
    for each in items:
        stage, place = stages.get(each.name), f"{where}: {each.place}"
        for kind in stage.reads:
            if kind not in made:
                maker = next((name for name in stages.MODULES if stages.get(name).writes is kind), None)
                raise RecipeError(
                    f"{stage.name} needs a {kind}, and no stage before it makes one",
                    where=place,
                    hint=f"put '- {maker}: {{}}' before it" if maker else None,
                )
        learnt = next((name for name in passed if not stages.get(name).of_text), None)
        if stage.of_text and learnt is not None:
            raise RecipeError(
                f"{stage.name} learns from unlabelled text, and would undo what {learnt} has made",
                where=place,
                hint=f"put {stage.name} before {learnt}",
            )
        for later in ORDER[ORDER.index(stage.writes) + 1 :]:
            if later in made:
                raise RecipeError(
                    f"{stage.name} makes a {stage.writes}, but {made[later]} has made a {later} before it",
                    where=place,
                    hint=f"put {stage.name} before {made[later]}",
                )
        # Only training resumes from its own result; any other stage would throw away what was made of it.
        if stage.writes is not Kind.CHECKPOINT and stage.name in passed:
            raise RecipeError(f"{stage.name} can stand in a recipe only once", where=place)
        passed[stage.name] = None
        made[stage.writes] = stage.name
    return made
