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
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeroberta import stages
from edgeroberta.errors import RecipeError, did_you_mean
from edgeroberta.notebook import Shown
from edgeroberta.recipe import validation
from edgeroberta.recipe.validation import OverrideSource, dotted, first_problem
from edgeroberta.settings import StageConfig
from edgeroberta.stages import Stage
from edgeroberta.storage import yamltext
from edgeroberta.storage.artifact import Kind

SCHEMA_VERSION = 1

#: The order in which kinds of artifact are made; a recipe never goes back.
ORDER = (Kind.CHECKPOINT, Kind.GRAPH, Kind.DRAFT, Kind.REPORT, Kind.BUNDLE)

_PACKAGE = Path(__file__).parents[1]


class RecipeStep(NamedTuple):
    """One stage of a recipe with its resolved config."""

    stage: Stage
    config: StageConfig


@dataclass(frozen=True)
class Recipe(Shown):
    """A validated recipe."""

    name: str
    description: str  # one sentence for people
    stages: tuple[RecipeStep, ...]  # stages in order, each with its config
    source: str  # the file it was read from
    text: str  # the resolved recipe as YAML: overrides applied, every default written out

    def to_json(self) -> dict[str, Any]:
        """Return name, description and stages with their settings as a JSON object."""
        stages = [
            {"stage": step.stage.name, "config": step.config.model_dump(mode="json")} for step in self.stages
        ]
        return {"name": self.name, "description": self.description, "stages": stages}

    def __str__(self) -> str:
        return self.text.rstrip()


class _Document(BaseModel):
    """The top level of a recipe file; ``stages`` are validated one by one after it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: int = Field(ge=1)
    name: str = Field(min_length=1)
    description: str = ""
    stages: list[Any] = Field(min_length=1)


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
    twice, ``stage[1].key=value`` names the second. Returns the recipe with every default filled in. Raises
    RecipeError: the file or an override is invalid; ``where`` is the path of the bad field.
    """
    path = locate(recipe)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot be read: {error}", where=path.name) from error
    document = _document(yamltext.parse(text, where=path.name), path.name)
    items = [_entry(item, index, path.name) for index, item in enumerate(document.stages)]
    origins = [validation.apply(items, override) for override in overrides]
    steps = tuple(
        _step(name, values, f"{path.name}: stages[{index}].{name}", origins, index)
        for index, (name, values) in enumerate(items)
    )
    _check_order(steps, path.name)
    return Recipe(document.name, document.description, steps, str(path), _resolved(document, steps))


def _document(value: Any, where: str) -> _Document:
    if not isinstance(value, Mapping):
        raise RecipeError(
            "a recipe is a mapping with schema_version, name, description and stages", where=where
        )
    version = value.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RecipeError(
            f"written for a newer version (schema {version}, this one reads {SCHEMA_VERSION})",
            where=f"{where}: schema_version",
            hint="pip install --upgrade edgeroberta",
        )
    try:
        return _Document.model_validate(dict(value))
    except ValidationError as error:
        problem = first_problem(error, _Document, value)
        raise RecipeError(
            problem.what, where=f"{where}: {dotted(problem.path)}", hint=problem.hint
        ) from error


def _entry(item: Any, index: int, where: str) -> tuple[str, dict[str, Any]]:
    """Read one item of ``stages``: ``{name: {settings}}``, or a bare name."""
    place = f"{where}: stages[{index}]"
    if isinstance(item, str):
        item = {item: None}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise RecipeError("each stage is one name with its settings, e.g. '- export: {}'", where=place)
    name, values = next(iter(item.items()))
    if name not in stages.MODULES:
        near = did_you_mean(str(name), stages.MODULES)
        raise RecipeError(
            f"no stage is called {name!r}",
            where=place,
            hint=near or f"stages: {', '.join(stages.MODULES)}",
        )
    if values is not None and not isinstance(values, Mapping):
        raise RecipeError(f"settings are a mapping, got {values!r}", where=f"{place}.{name}")
    return str(name), dict(values or {})


def _step(
    name: str, values: dict[str, Any], where: str, origins: Sequence[OverrideSource], index: int
) -> RecipeStep:
    stage = stages.get(name)
    try:
        return RecipeStep(stage, stage.config.model_validate(values))
    except ValidationError as error:
        problem = first_problem(error, stage.config, values)
        place = f"{where}.{dotted(problem.path)}" if problem.path else where
        for origin in origins:
            if origin.index == index and origin.path == problem.path[: len(origin.path)]:
                place = origin.text
        raise RecipeError(problem.what, where=place, hint=problem.hint) from error


def _check_order(steps: Sequence[RecipeStep], where: str) -> None:
    """Refuse a recipe whose stages cannot follow one another."""
    made: dict[Kind, str] = {Kind.CHECKPOINT: "the model"}
    passed: set[str] = set()
    for index, (stage, _) in enumerate(steps):
        place = f"{where}: stages[{index}].{stage.name}"
        for kind in stage.reads:
            if kind not in made:
                maker = next((name for name in stages.MODULES if stages.get(name).writes is kind), None)
                raise RecipeError(
                    f"{stage.name} needs a {kind}, and no stage before it makes one",
                    where=place,
                    hint=f"put '- {maker}: {{}}' before it" if maker else None,
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
        passed.add(stage.name)
        made[stage.writes] = stage.name
    if Kind.BUNDLE not in made:
        raise RecipeError(
            "the recipe makes no bundle", where=f"{where}: stages", hint="end it with '- bundle: {}'"
        )


def _resolved(document: _Document, steps: Sequence[RecipeStep]) -> str:
    return yamltext.dump(
        {
            "schema_version": SCHEMA_VERSION,
            "name": document.name,
            "description": document.description,
            "stages": [{stage.name: config.model_dump(mode="json")} for stage, config in steps],
        }
    )
