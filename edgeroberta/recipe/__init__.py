"""Recipes: which stages run, in which order, with which settings.

A recipe is a YAML file::

    schema_version: 1
    name: int8
    description: Quantize a fine-tuned model to int8
    stages:
      - export: {}
      - quantize: {samples: 256}
      - build: {}
      - verify: {}
      - bundle: {}

A recipe with a stage ``cascade`` has *tiers*: several models, each made by stages of its own, of which a
small one is asked first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from edgeroberta import stages
from edgeroberta.errors import RecipeError, did_you_mean
from edgeroberta.notebook import Shown
from edgeroberta.recipe import document, ordering
from edgeroberta.recipe.document import SCHEMA_VERSION, TIERS, RawRecipe, RawStage
from edgeroberta.recipe.ordering import ORDER
from edgeroberta.recipe.overrides import OverrideSource, apply
from edgeroberta.recipe.validation import dotted, first_problem
from edgeroberta.settings import StageConfig
from edgeroberta.stages import Stage
from edgeroberta.storage import yamltext
from edgeroberta.storage.artifact import Kind

__all__ = [
    "ORDER",
    "SCHEMA_VERSION",
    "PlacedStep",
    "Recipe",
    "RecipeStep",
    "Tier",
    "folder",
    "load",
    "locate",
    "names",
    "walk",
]

_PACKAGE = Path(__file__).parents[1]


class RecipeStep(NamedTuple):
    """One stage of a recipe with its resolved config."""

    stage: Stage
    config: StageConfig
    tiers: tuple[Tier, ...] = ()  # of a cascade: what makes its models, in the order in which they are asked


class Tier(NamedTuple):
    """One of the models of a cascade."""

    name: str  # what a prediction calls it
    steps: tuple[RecipeStep, ...]  # the stages that make it of the model before the cascade


class PlacedStep(NamedTuple):
    """A stage, and where it stands in its recipe."""

    step: RecipeStep
    place: str  # such as ``stages[0].cascade.tiers[1].stages[2].quantize``
    tier: str | None  # name of the tier that it makes; None where it is one of the recipe's own


def walk(steps: Sequence[RecipeStep]) -> Iterator[PlacedStep]:
    """Give every stage in the order in which they run: those of tiers before the cascade that has them."""
    for index, step in enumerate(steps):
        place = f"stages[{index}].{step.stage.name}"
        for number, tier in enumerate(step.tiers):
            for inner, each in enumerate(tier.steps):
                inside = f"{place}.{TIERS}[{number}].stages[{inner}].{each.stage.name}"
                yield PlacedStep(each, inside, tier.name)
        yield PlacedStep(step, place, None)


@dataclass(frozen=True)
class Recipe(Shown):
    """A validated recipe."""

    name: str
    description: str  # one sentence for people
    stages: tuple[RecipeStep, ...]  # stages in order, each with its config
    source: str  # the file it was read from
    text: str  # the resolved recipe as YAML: overrides applied, every default written out

    @property
    def cascade(self) -> RecipeStep | None:
        """The stage that joins several models; None where the recipe makes one."""
        return next((step for step in self.stages if step.tiers), None)

    @property
    def of_text(self) -> bool:
        """Whether a stage learns from unlabelled text alone, which must then be given."""
        return any(step.stage.of_text for step in self.stages)

    @property
    def makes(self) -> Kind:
        """What it ends in: a bundle, or a checkpoint where all it does is learn from unlabelled text."""
        return self.stages[-1].stage.writes

    @property
    def outline(self) -> tuple[str, ...]:
        """The name of each stage, of a cascade with its tiers: ``cascade(tiny, int8)``."""
        tiers = [", ".join(tier.name for tier in step.tiers) for step in self.stages]
        return tuple(
            f"{step.stage.name}({names})" if names else step.stage.name
            for step, names in zip(self.stages, tiers, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Return name, description and stages with their settings as a JSON object."""
        stages = [
            {"stage": step.stage.name, "config": step.config.model_dump(mode="json")} for step in self.stages
        ]
        return {"name": self.name, "description": self.description, "stages": stages}

    def __str__(self) -> str:
        return self.text.rstrip()


def folder() -> Path:
    """Return the folder of the shipped recipes: inside the wheel, or at the top of a source tree."""
    packaged = _PACKAGE / "_recipes"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "recipes"


def names() -> tuple[str, ...]:
    """Return the names of the shipped recipes, sorted."""
    return tuple(sorted(path.stem for path in folder().glob("*.yaml")))


def locate(recipe: str) -> Path:
    """Find a recipe by name, or by path when it has a slash or ends in ``.yaml`` or ``.yml``."""
    if "/" in recipe or recipe.endswith((".yaml", ".yml")):
        path = Path(recipe)
        if not path.is_file():
            raise RecipeError(
                "no such recipe file", where=recipe, hint="edgeroberta recipes lists the shipped ones"
            )
        return path
    if recipe not in names():
        near = did_you_mean(recipe, names())
        raise RecipeError(
            f"no recipe is called {recipe!r}", hint=near or f"shipped recipes: {', '.join(names())}"
        )
    return folder() / f"{recipe}.yaml"


def load(recipe: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and validate a recipe.

    ``overrides``: ``stage.key=value`` settings that win over the file; the value is YAML. When a stage occurs
    twice, ``stage[1].key=value`` names the second, and ``tier.stage.key=value`` that of a tier. Returns the
    recipe with every default filled in. Raises RecipeError: the file or an override is invalid; ``where`` is
    the path of the bad field.
    """
    path = locate(recipe)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot be read: {error}", where=path.name) from error
    found = document.parse(text, path.name)
    origins = [apply(found, override) for override in overrides]
    steps = tuple(_step(stage, path.name, origins) for stage in found.stages)
    ordering.check(found.stages, path.name)
    return Recipe(found.name, found.description, steps, str(path), _resolved(found, steps))


def _step(raw: RawStage, file: str, origins: Sequence[OverrideSource]) -> RecipeStep:
    stage, values = stages.get(raw.name), dict(raw.values)
    tiers = tuple(
        Tier(tier.name, tuple(_step(each, file, origins) for each in tier.stages)) for tier in raw.tiers
    )
    if tiers:
        values[TIERS] = [
            {"name": tier.name, "stages": [_written(each) for each in tier.steps]} for tier in tiers
        ]
    try:
        return RecipeStep(stage, stage.config.model_validate(values), tiers)
    except ValidationError as error:
        problem = first_problem(error, stage.config, values)
        where = f"{file}: {raw.place}"
        place = f"{where}.{dotted(problem.path)}" if problem.path else where
        for origin in origins:
            if origin.stage is raw and origin.path == problem.path[: len(origin.path)]:
                place = origin.text
        raise RecipeError(problem.what, where=place, hint=problem.hint) from error


def _written(step: RecipeStep) -> dict[str, Any]:
    """Return a stage as a recipe writes it, every default written out."""
    return {step.stage.name: step.config.model_dump(mode="json")}


def _resolved(found: RawRecipe, steps: Sequence[RecipeStep]) -> str:
    return yamltext.dump(
        {
            "schema_version": SCHEMA_VERSION,
            "name": found.name,
            "description": found.description,
            "stages": [_written(step) for step in steps],
        }
    )
