"""From a budget to a delivered bundle: measure, search, compare candidates, run the best one's recipe.

What is found on the way lies in the folder ``plan`` of the work folder: the same command takes it up again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgeroberta import distributed, pipeline, recipe
from edgeroberta.pipeline import Result, compression
from edgeroberta.pipeline.sources import Request
from edgeroberta.pipeline.workspace import Workspace
from edgeroberta.progress import Progress
from edgeroberta.search import evaluation, recipes, selection
from edgeroberta.search.evaluation import Made
from edgeroberta.search.limits import Limits
from edgeroberta.search.result import Outcome

if TYPE_CHECKING:
    from edgeroberta.latency.measuring import Timer

PLAN = "plan"


@dataclass(frozen=True)
class Budgeted:
    """What a run with a budget gives."""

    result: Result  # as without a budget
    outcome: Outcome | None  # what became of the budget; None on other processes than the main one


def compress(
    request: Request,
    limits: Limits,
    *,
    progress: Progress,
    host: str | None = None,
    timer: Timer | None = None,
) -> Budgeted:
    """Make the best bundle that meets a budget about ``host`` (None: this machine), timed by ``timer``."""
    chosen = recipe.load(request.recipe, request.overrides)
    base = recipes.base_of(chosen)
    job = compression.prepare(request, chosen, progress=progress)
    ranks = distributed.current()
    planned = replace(job, work=job.work / PLAN)
    if ranks.main:  # the outer one first: with a folder in it, it would look foreign
        Workspace(job.work)
        Workspace(planned.work)
    ranks.wait()
    device = ranks.share(selection.measured(job, progress, host, timer) if ranks.main else None)
    probes, candidate = selection.choose(base, limits, planned, device, progress)
    file = planned.work / "recipe.yaml"
    if ranks.main:
        recipes.write(candidate, limits, base, file, share=selection.shares(job, limits))
    ranks.wait()
    result = pipeline.run(recipe.load(str(file)), job, progress=progress)
    made = Made(limits, candidate, probes, device, base, result, host)
    return Budgeted(result, evaluation.outcome_of(made, planned, progress))
