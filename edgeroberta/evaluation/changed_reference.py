"""Which changed texts a reference is to have answers to, and where they come from when it has none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.evaluation import perturbations, term_lists
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.changed_answers import ChangedAnswers, ask, missing
from edgeroberta.evaluation.changed_rows import ChangeOptions, change
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.storage.files import REFERENCE_FOLDER

if TYPE_CHECKING:
    from edgeroberta.data import Rows
    from edgeroberta.roberta.checkpoint import Checkpoint


def options(swaps: tuple[str, ...], perturb: tuple[str, ...], *, seed: int) -> ChangeOptions:
    """Read what a user asks for; UsageError: no such list or perturbation, or a list is wrong."""
    perturbations.check(perturb)
    return ChangeOptions(term_lists.load_all(swaps), perturb, seed)


@dataclass(frozen=True)
class WantedChanges:
    """What a user asks of a bundle that is verified again."""

    swaps: tuple[str, ...] | None = None  # lists of terms; None for those of the reference
    perturb: tuple[str, ...] | None = None  # perturbations; None for those of the reference


def answered(
    reference: BaselineAnswers, model: Checkpoint, rows: Rows, options: ChangeOptions, *, given: bool
) -> BaselineAnswers:
    """Return a reference with answers to changed texts: those it has, or what the baseline answers here.

    ``given``: whether the reference was brought from elsewhere. Raises UsageError: it was, without answers to
    these texts, and was measured in another type than here.
    """
    wanted, stored = options, reference.changed
    if not wanted:
        return replace(reference, changed=None)
    if stored is not None and not stored.lacks(wanted) and stored.options.seed == wanted.seed:
        return replace(reference, changed=replace(stored, options=wanted))
    if given:
        check_given(reference, wanted)
    from edgeroberta.measure.torch_baseline import TorchBaseline, pick_device

    changed = change(rows, wanted, reference.task)
    full = TorchBaseline(model, device=pick_device("auto"), overlap=reference.overlap)
    return replace(reference, changed=ask(full, wanted, changed))


def check_given(reference: BaselineAnswers, wanted: ChangeOptions) -> None:
    """Refuse a reference in half precision that was not asked: answers in float would not be its own."""
    stored = reference.changed
    if wanted and reference.dtype != "float32" and (stored is None or stored.lacks(wanted)):
        raise missing(wanted, f"the baseline ran in {reference.dtype} and")


def wanted(
    bundle: Path, reference: BaselineAnswers, gate: GateLimits, asked: WantedChanges
) -> ChangedAnswers | None:
    """Return the answers of a reference to the changed texts that a bundle is to be asked.

    These are what the user names; else what the gate was about when the bundle was made; else all that the
    reference has. Raises UsageError: it does not have them.
    """
    stored, made = reference.changed, ChangedAnswers.load(bundle / REFERENCE_FOLDER)
    had = ChangeOptions() if stored is None else stored.options
    if made is not None and gate.swaps is not None:
        had = replace(had, swaps=made.options.swaps)
    if made is not None and gate.robustness is not None:
        had = replace(had, perturb=made.options.perturb)
    named = options(asked.swaps or (), asked.perturb or (), seed=had.seed)
    chosen = replace(
        had,
        swaps=had.swaps if asked.swaps is None else named.swaps,
        perturb=had.perturb if asked.perturb is None else named.perturb,
    )
    if not chosen:
        return None
    if stored is None or stored.lacks(chosen):
        raise missing(chosen)
    return replace(stored, options=replace(chosen, seed=stored.options.seed))
