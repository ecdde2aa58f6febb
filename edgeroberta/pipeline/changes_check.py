"""What a recipe asks of changed texts can be asked: of these rows, this task and this reference."""

from __future__ import annotations

from pathlib import Path

from edgeroberta.data import Rows
from edgeroberta.errors import RecipeError
from edgeroberta.evaluation import baseline_store, changed_reference
from edgeroberta.evaluation.changed_rows import change
from edgeroberta.recipe import Recipe, walk
from edgeroberta.stages.verify import VerifyConfig
from edgeroberta.tasks import Task


def check(chosen: Recipe, task: Task, rows: Rows, *, reference: Path | None, seed: int) -> None:
    """Refuse what could not be asked once the model is made, hours later.

    ``rows``: the held-out ones. ``reference``: folder of a stored baseline. Raises RecipeError: a gate bounds
    what is not measured. UsageError: no such list or perturbation, one that changes no row, a task without
    comparable answers, or a reference in half precision that was not asked.
    """
    for step, place, _ in walk(chosen.stages):
        if not isinstance(step.config, VerifyConfig):
            continue
        where = f"{Path(chosen.source).name}: {place}"
        for bound, setting in (("swaps", "swaps"), ("robustness", "perturb")):
            if getattr(step.config.gate, bound) is not None and not getattr(step.config, setting):
                raise RecipeError(
                    f"the gate bounds {bound}, and no changed texts are asked",
                    where=f"{where}.gate.{bound}",
                    hint=f"say which: --set 'verify.{setting}=[{_EXAMPLES[setting]}]'",
                )
        wanted = changed_reference.options(step.config.swaps, step.config.perturb, seed=seed)
        change(rows, wanted, task)
        if reference is not None:
            changed_reference.check_given(baseline_store.load(reference), wanted)


_EXAMPLES = {"swaps": "gender, names", "perturb": "typos, case"}
