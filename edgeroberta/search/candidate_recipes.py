"""From a candidate to an ordinary recipe with explicit numbers, which makes the same model again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta import stages
from edgeroberta.errors import UsageError
from edgeroberta.recipe import SCHEMA_VERSION, Recipe, RecipeStep, load
from edgeroberta.search.candidates import Candidate
from edgeroberta.search.cascades import agreement
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.storage import yamltext
from edgeroberta.storage.artifact import write_text
from edgeroberta.training.distill_settings import DistillSettings

#: Base where the user names none.
DEFAULT = "int8-distill"


#: Names of a cascade's tiers.
FIRST, LAST = "student", "int8"
#: What of a gate a budget does not replace.
_KEPT = ("confidence", "metric", "min_recall", "max_recall_drop", "swaps", "robustness", "slices")


@dataclass(frozen=True)
class CandidateSettings:
    """What a recipe of the user's gives to all candidates."""

    recovery: Mapping[str, Any]  # how a student learns
    quantize: Mapping[str, Any]  # settings of the stage quantize
    build: Mapping[str, Any]  # settings of the stage build
    verify: Mapping[str, Any]  # settings of the stage verify; of its gate those a budget does not replace


def candidate_settings(recipe: Recipe) -> CandidateSettings:
    """Take what serves all candidates from a recipe."""
    found = {step.stage.name: step.config.model_dump(mode="json") for step in recipe.stages}
    recovery = found["distill"] if "distill" in found else found.get("prune", {}).get("recovery")
    if recovery is None or any(name in found for name in stages.TEACHER_STAGES):
        raise UsageError(
            f"the recipe {recipe.name!r} does not say how a smaller model is to learn from a fine-tuned one",
            where="--recipe",
            hint=f"with a budget, name a recipe that distils or prunes, such as {DEFAULT}, or leave it out",
        )
    verify = dict(found.get("verify", {}))
    if "gate" in verify:
        verify["gate"] = {name: verify["gate"][name] for name in _KEPT}
    learning = {name: recovery[name] for name in DistillSettings.model_fields}
    return CandidateSettings(learning, found.get("quantize", {}), found.get("build", {}), verify)


def training_steps(candidate: Candidate, recovery: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the stages that make a candidate's checkpoint, as a recipe writes them."""
    layers = list(candidate.layers)
    found: list[dict[str, Any]] = []
    if not candidate.whole:
        shapes = [shape.to_json() for shape in candidate.shapes]
        found.append({"prune": {"layers": layers, "shapes": shapes, "recovery": dict(recovery)}})
    elif not candidate.everything:
        found.append({"distill": {**recovery, "layers": layers}})
    if candidate.vocabulary is not None:
        found.append({"vocabulary": {"size": candidate.vocabulary}})
    return found


def write(
    candidate: Candidate, limits: BudgetLimits, base: CandidateSettings, file: Path, *, share: bool
) -> Recipe:
    """Write a candidate's recipe and read it back; ``share``: let engines share weights."""
    gate = {**base.verify.get("gate", {}), "max_drop": 1.0, "min_agreement": 0.0, "min_kept": limits.keep}
    build = {**base.build, "share_weights": True} if share else dict(base.build)
    finish = [{"export": {}}, {"quantize": dict(base.quantize)}, {"build": build}]
    made = [*training_steps(candidate, base.recovery), *finish]
    if candidate.escalated is not None:
        tiers = [{"name": FIRST, "stages": made}, {"name": LAST, "stages": finish}]
        made = [{"cascade": {"agreement": agreement(limits), "tiers": tiers}}]
    document = {
        "schema_version": SCHEMA_VERSION,
        "name": "budget",
        "description": f"{candidate.name} in int8, for {limits.told}",
        "stages": [*made, {"verify": {**base.verify, "gate": gate}}, {"bundle": {}}],
    }
    write_text(file, yamltext.dump(document))
    return load(str(file))


def steps(items: list[dict[str, Any]]) -> tuple[RecipeStep, ...]:
    """Return stages with their configs, as :func:`edgeroberta.pipeline.make` takes them."""
    named = [next(iter(entry.items())) for entry in items]
    return tuple(
        RecipeStep(stages.get(name), stages.get(name).config.model_validate(values)) for name, values in named
    )
