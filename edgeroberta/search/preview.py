"""What ``edgeroberta compress --dry-run`` tells of a budget: the limits, and what should meet them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeroberta import recipe
from edgeroberta.pipeline import compression, dry_run
from edgeroberta.pipeline.compression import Preview
from edgeroberta.pipeline.sources import Request
from edgeroberta.search import candidates, recipes, selection
from edgeroberta.search.candidates import Candidate
from edgeroberta.search.limits import Limits
from edgeroberta.search.selection import Device


@dataclass(frozen=True)
class Forecast:
    """What a run with a budget would begin with."""

    preview: Preview  # the model, the rows, where things would go; its recipe says how candidates would learn
    limits: Limits  # the budget
    #: what the device takes; None where it has not been measured, or the model is not there yet
    device: Device | None
    candidates: tuple[Candidate, ...]  # what should meet the budget, if all heads and neurons mattered alike


def forecast(request: Request, limits: Limits, *, host: str | None = None) -> Forecast:
    """Check everything, and predict what a measured device allows; nothing is trained."""
    recipes.base_of(recipe.load(request.recipe, request.overrides))
    preview = compression.preview(request)
    device = None if preview.job is None else selection.known(preview.job, host)
    if preview.job is None or device is None:
        return Forecast(preview, limits, None, ())
    return Forecast(preview, limits, device, selection.search(preview.job, limits, device).candidates())


def to_json(found: Forecast) -> dict[str, Any]:
    """Return a forecast for machines; ``candidates`` is null where the device has not been measured."""
    facts = dry_run.to_json(found.preview)
    measured = None if found.device is None else [each.to_json() for each in found.candidates]
    return {
        **{name: value for name, value in facts.items() if name != "stages"},
        "budget": {"asked": found.limits.to_json(), "candidates": measured},
    }


def to_text(found: Forecast) -> str:
    """Return a forecast for people."""
    lines = [*dry_run.facts(found.preview), f"budget: {found.limits.told}"]
    if found.device is None:
        lines.append("the device would be measured first, and candidates searched with its latency table")
        return "\n".join(lines)
    lines.append(f"latency table: {found.device.table.engine} on {found.device.table.device}")
    if found.candidates[0].kept == 1:
        lines.append("nothing would be trained: the full-size model in int8 should meet the budget")
    else:
        lines.append(
            "candidates, as predicted if all heads and neurons mattered alike; a run scores them first:"
        )
    return "\n".join([*lines, candidates.table(found.candidates).text()])
