"""How many rows are set aside for the thresholds of a cascade, and whether they can show what is promised."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

from edgeroberta import cascade
from edgeroberta.data import DataSpec, FreshRows, Splits
from edgeroberta.errors import DataError
from edgeroberta.recipe import Recipe
from edgeroberta.stages.cascade import CascadeConfig, require_confidence
from edgeroberta.tasks import Task

#: The part of the training texts that is set aside, and the most of them: 4,000 let 29 answers differ where
#: one in a hundred may, so that twice as many would hardly let a tier answer more.
PART, MOST = 0.1, 4000
#: A lower promise is chosen by the rows that would be set aside for this one, so that it can be tried without
#: other training rows, with which every model would have to be made again.
USUAL_AGREEMENT = 0.99
#: Of few texts, as many are set aside as it takes to show the promise where half as many answers differ as
#: may, but no more than a fifth of them; and as many as it takes where none differs, if half are left.
WANTED, MOST_OF_FEW, LEAST_LEFT = 0.5, 0.2, 0.5


def wanted(chosen: Recipe, task: Task, spec: DataSpec) -> FreshRows | None:
    """Return which rows a recipe's thresholds are chosen by; None where it has no cascade.

    Raises RecipeError: answers of this task have no confidence.
    """
    step = chosen.cascade
    if step is None:
        return None
    require_confidence(task)
    config = cast("CascadeConfig", step.config)

    def count(texts: int) -> int:
        """Return how many of so many different texts; raises DataError: they are too few for the promise."""
        needed = _needed(config.agreement, config.confidence)
        if config.texts is not None:
            found = texts
        else:
            found = usual(texts, config) if config.rows == "auto" else int(config.rows)
            if needed <= found and found > texts * (1 - LEAST_LEFT):
                raise _too_little_left(texts, found, spec)
        if found < needed:
            raise _too_few(texts, found, needed, config, spec)
        return found

    return FreshRows(count, config.texts)


def told(chosen: Recipe, data: Splits) -> Iterator[str]:
    """Say which rows the thresholds are chosen by; nothing where there are none."""
    if chosen.cascade is None or data.fresh is None:
        return
    if cast("CascadeConfig", chosen.cascade.config).texts is None:
        yield f"{len(data.fresh):,} training rows are set aside for the thresholds; nothing learns from them"
    else:
        yield f"{data.fresh.source}: {len(data.fresh):,} texts for the thresholds"


def usual(texts: int, config: CascadeConfig) -> int:
    """Return how many of so many different training texts are set aside where nobody says otherwise."""
    agreement = max(config.agreement, USUAL_AGREEMENT)
    likely = cascade.rows_needed(agreement, config.confidence, (1 - agreement) * WANTED)
    found = min(MOST, max(round(texts * PART), min(likely or MOST, round(texts * MOST_OF_FEW))))
    for needed in (_needed(agreement, config.confidence), _needed(config.agreement, config.confidence)):
        if needed <= texts * (1 - LEAST_LEFT):
            return max(found, needed)
    return found


def _needed(agreement: float, confidence: float) -> int:
    """Return how many rows show a promise where no answer differs."""
    found = cascade.rows_needed(agreement, confidence)
    assert found is not None  # for no disagreement at all there always is a number
    return found


def _too_little_left(texts: int, found: int, spec: DataSpec) -> DataError:
    return DataError(
        f"{found:,} of {texts:,} training texts are to be set aside for the thresholds, which leaves less"
        " than half of them to learn from",
        where=spec.data,
        hint="set fewer aside with --set cascade.rows=N, or give more rows",
    )


def _too_few(texts: int, found: int, needed: int, config: CascadeConfig, spec: DataSpec) -> DataError:
    there = f"{found:,} texts" if config.texts is not None else f"{found:,} of {texts:,} training texts"
    shown = (1 - config.confidence) ** (1 / max(found, 1))
    return DataError(
        f"{there} are there for the thresholds, and it takes {needed:,} to be"
        f" {100 * config.confidence:.4g}% sure of an agreement of {config.agreement:g}",
        where=config.texts or spec.data,
        hint=f"{_more(texts, needed, config)}, or ask for less: --set cascade.agreement="
        f"{int(shown * 1000) / 1000:g}",
        code="data.too-few-for-thresholds",
    )


def _more(texts: int, needed: int, config: CascadeConfig) -> str:
    """Say what would do for the promise where no answer differs."""
    if config.texts is not None:
        return f"give {needed:,} texts"
    enough = math.ceil(needed / (1 - LEAST_LEFT))
    rows = f"set {needed:,} aside (cascade.rows)" if texts >= enough else f"give {enough:,} training texts"
    return f"{rows}, name {needed:,} texts without labels (--set cascade.texts=FILE)"
