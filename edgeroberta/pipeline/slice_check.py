"""What slices of a recipe go by is there: their columns, labels and words, before hours of work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgeroberta.data.rows import Rows
from edgeroberta.errors import EdgeRobertaError, RecipeError
from edgeroberta.evaluation import slices
from edgeroberta.recipe import Recipe, walk
from edgeroberta.stages.verify import VerifyConfig
from edgeroberta.tasks import Task


def columns(chosen: Recipe) -> tuple[str, ...]:
    """Return the columns that the rows must keep for the slices of a recipe."""
    return tuple(dict.fromkeys(name for _, config in _asked(chosen) for name in config.slices.columns))


def check(chosen: Recipe, rows: Rows, task: Task) -> None:
    """Refuse slices that the held-out rows cannot be told apart into, and bounds on none.

    Raises DataError or UsageError, with the place in the recipe where the error has none in the data.
    """
    for place, config in _asked(chosen):
        where = f"{Path(chosen.source).name}: {place}"
        asked = config.slices.asked()
        if config.gate.slices is not None and not asked:
            raise RecipeError(
                "the gate bounds slices, and none are asked for",
                where=f"{where}.gate.slices",
                hint="name some: --set 'verify.slices.columns=[dialect]'",
            )
        try:
            slices.find(asked, rows, task)
        except EdgeRobertaError as error:
            if error.code == "usage.slices":  # of what is asked for, not of a place in the data
                error.where = f"{where}.slices"
            raise


def _asked(chosen: Recipe) -> Iterator[tuple[str, VerifyConfig]]:
    for step, place, _ in walk(chosen.stages):
        if isinstance(step.config, VerifyConfig):
            yield place, step.config
