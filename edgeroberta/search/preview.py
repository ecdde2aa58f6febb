"""What ``edgeroberta compress --dry-run`` tells of a budget: the limits, and what should meet them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeroberta import recipe
from edgeroberta.notebook import Shown
from edgeroberta.pipeline import compression
from edgeroberta.pipeline.compression_inputs import CompressionRequest
from edgeroberta.pipeline.dry_run import Preview
from edgeroberta.recipe import Recipe
from edgeroberta.search import candidate_recipes, candidates, selection
from edgeroberta.search.candidates import Candidate
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.selection import DeviceLatency


@dataclass(frozen=True)
class BudgetPreview(Shown):
    """What a run with a budget would begin with."""

    preview: Preview  # the model, the rows, where things would go; its recipe says how candidates would learn
    limits: BudgetLimits  # the budget
    #: what the device takes; None where it has not been measured, or the model is not there yet
    device: DeviceLatency | None
    candidates: tuple[Candidate, ...]  # what should meet the budget, if all heads and neurons mattered alike

    @property
    def recipe(self) -> Recipe:
        """How candidates would learn."""
        return self.preview.recipe

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; ``candidates`` is null where the device has not been measured."""
        facts = self.preview.to_json()
        measured = None if self.device is None else [each.to_json() for each in self.candidates]
        return {
            **{name: value for name, value in facts.items() if name != "stages"},
            "budget": {"asked": self.limits.to_json(), "candidates": measured},
        }

    def __str__(self) -> str:
        lines = [*self.preview.facts(), f"budget: {self.limits.told}"]
        if self.device is None:
            lines.append("the device would be measured first, and candidates searched with its latency table")
            return "\n".join(lines)
        lines.append(f"latency table: {self.device.table.engine} on {self.device.table.device}")
        if self.candidates[0].kept == 1:
            lines.append("nothing would be trained: the baseline in int8 should meet the budget")
        else:
            lines.append(
                "candidates, as predicted if all heads and neurons mattered alike; a run scores them first:"
            )
        return "\n".join([*lines, candidates.table(self.candidates).text()])


def budget_preview(
    request: CompressionRequest, limits: BudgetLimits, *, host: str | None = None
) -> BudgetPreview:
    """Check everything, and predict what a measured device allows; nothing is trained."""
    candidate_recipes.candidate_settings(recipe.load(request.recipe, request.overrides))
    preview = compression.preview(request)
    device = None if preview.fine_tunes_packaged_model else selection.stored_device(preview.job, host)
    if device is None:
        return BudgetPreview(preview, limits, None, ())
    return BudgetPreview(
        preview, limits, device, selection.shape_search(preview.job, limits, device).candidates()
    )
