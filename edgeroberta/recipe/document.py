"""What a recipe file says, before its settings are checked: stages by name, each with its raw settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeroberta import stages
from edgeroberta.errors import RecipeError, did_you_mean
from edgeroberta.recipe.validation import dotted, first_problem
from edgeroberta.storage import yamltext

SCHEMA_VERSION = 1

#: The setting that names the models of a cascade, each with stages of its own.
TIERS = "tiers"
#: The stage that has it.
CASCADE = "cascade"


@dataclass
class RawStage:
    """One item of ``stages``."""

    name: str  # name of the stage
    values: dict[str, Any]  # its settings as they are written; overrides change them in place
    place: str  # where it stands, such as ``stages[0].cascade.tiers[1].stages[2].quantize``
    tier: str | None = None  # name of the tier whose stage it is; None where it is one of the recipe's own
    tiers: list[RawTier] = field(default_factory=list)  # of a cascade


@dataclass
class RawTier:
    """One of the models of a cascade."""

    name: str  # what a prediction calls it
    place: str  # where it stands, such as ``stages[0].cascade.tiers[1]``
    stages: list[RawStage]  # what makes it


@dataclass
class RawRecipe:
    """A recipe file, read."""

    name: str
    description: str
    stages: list[RawStage]

    def flat(self) -> Iterator[RawStage]:
        """Give every stage, those of tiers after the cascade that has them."""
        for stage in self.stages:
            yield stage
            for tier in stage.tiers:
                yield from tier.stages


class _Document(BaseModel):
    """The top level of a recipe file; ``stages`` are validated one by one after it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: int = Field(ge=1)
    name: str = Field(min_length=1)
    description: str = ""
    stages: list[Any] = Field(min_length=1)


class _Tier(BaseModel):
    """A tier of a cascade; its ``stages`` are validated one by one after it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(min_length=1)
    stages: list[Any] = Field(min_length=1)


def parse(text: str, where: str) -> RawRecipe:
    """Read the text of a recipe file called ``where``. Raises RecipeError: it is none."""
    found = _document(yamltext.parse(text, where=where), where)
    return RawRecipe(found.name, found.description, _stages(found.stages, "stages", where))


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


def _stages(items: Sequence[Any], place: str, where: str, tier: str | None = None) -> list[RawStage]:
    return [_stage(item, f"{place}[{index}]", where, tier) for index, item in enumerate(items)]


def _stage(item: Any, place: str, where: str, tier: str | None) -> RawStage:
    """Read one item of ``stages``: ``{name: {settings}}``, or a bare name."""
    if isinstance(item, str):
        item = {item: None}
    if not isinstance(item, Mapping) or len(item) != 1:
        raise RecipeError(
            "each stage is one name with its settings, e.g. '- export: {}'", where=f"{where}: {place}"
        )
    name, values = next(iter(item.items()))
    if name not in stages.MODULES:
        near = did_you_mean(str(name), stages.MODULES)
        raise RecipeError(
            f"no stage is called {name!r}",
            where=f"{where}: {place}",
            hint=near or f"stages: {', '.join(stages.MODULES)}",
        )
    if name == CASCADE and tier is not None:
        raise RecipeError(
            "a cascade cannot be a stage of a tier",
            where=f"{where}: {place}",
            hint="put its tiers among those of the recipe's own cascade",
        )
    place = f"{place}.{name}"
    if values is not None and not isinstance(values, Mapping):
        raise RecipeError(f"settings are a mapping, got {values!r}", where=f"{where}: {place}")
    found = RawStage(str(name), dict(values or {}), place, tier)
    listed = found.values.get(TIERS)
    if name == CASCADE and isinstance(listed, list):  # else its settings say what is wrong
        found.tiers = [_tier(each, f"{place}.{TIERS}[{index}]", where) for index, each in enumerate(listed)]
    return found


def _tier(item: Any, place: str, where: str) -> RawTier:
    if not isinstance(item, Mapping):
        raise RecipeError(
            "each tier is a name and its stages, e.g. '- name: int8' with 'stages:' below it",
            where=f"{where}: {place}",
        )
    try:
        found = _Tier.model_validate(dict(item))
    except ValidationError as error:
        problem = first_problem(error, _Tier, item)
        raise RecipeError(
            problem.what, where=f"{where}: {place}.{dotted(problem.path)}", hint=problem.hint
        ) from error
    return RawTier(found.name, place, _stages(found.stages, f"{place}.stages", where, found.name))
