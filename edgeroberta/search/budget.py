"""From a budget to a delivered bundle: measure, search, compare candidates, run the best one's recipe.

What is found on the way lies in the folder ``plan`` of the work folder: the same command takes it up again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeroberta import distributed, pipeline, recipe
from edgeroberta.pipeline import RunResult, compression
from edgeroberta.pipeline.compression_inputs import CompressionRequest
from edgeroberta.pipeline.workspace import Workspace
from edgeroberta.progress import Progress
from edgeroberta.search import candidate_recipes, measurement, selection
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.measurement import DeliveredBundle
from edgeroberta.search.result import SearchResult
from edgeroberta.storage.files import RECIPE

if TYPE_CHECKING:
    from edgeroberta.latency.measurement import Timer

PLAN = "plan"


@dataclass(frozen=True)
class BudgetResult:
    """What a run with a budget gives."""

    result: RunResult  # as without a budget
    search_result: SearchResult | None  # what became of the budget; None on other processes than the main one


def compress(
    request: CompressionRequest,
    limits: BudgetLimits,
    *,
    progress: Progress,
    host: str | None = None,
    timer: Timer | None = None,
) -> BudgetResult:
    """Make the best bundle that meets a budget about ``host`` (None: this machine), timed by ``timer``."""
    chosen = recipe.load(request.recipe, request.overrides)
    base = candidate_recipes.candidate_settings(chosen)
    job = compression.prepare(request, chosen, progress=progress)
    ranks = distributed.current()
    planned = replace(job, work=job.work / PLAN)
    if ranks.main:  # the outer one first: with a folder in it, it would look foreign
        Workspace(job.work)
        Workspace(planned.work)
    ranks.wait()
    device = ranks.share(selection.measure_device(job, progress, host, timer) if ranks.main else None)
    probes, candidate = selection.select(base, limits, planned, device, progress)
    file = planned.work / RECIPE
    if ranks.main:
        candidate_recipes.write(
            candidate, limits, base, file, share=selection.engines_share_weights(job, limits)
        )
    ranks.wait()
    final = recipe.load(str(file))
    if candidate.escalated is not None:  # whose thresholds need rows that nothing has learnt from
        job = compression.prepare(request, final, progress=progress)
        planned = replace(job, work=planned.work)
    result = pipeline.run(final, job, progress=progress)
    made = DeliveredBundle(limits, candidate, probes, device, base, result, host)
    return BudgetResult(result, measurement.evaluate(made, planned, progress))
