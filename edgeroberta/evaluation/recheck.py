"""Verify a finished bundle again: on this machine, on the same or other rows, against its own gate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta.data import glue
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import UsageError
from edgeroberta.evaluation import EvaluationOptions, changed_reference, provenance, verify
from edgeroberta.evaluation import baseline_store as reference
from edgeroberta.evaluation.changed_reference import WantedChanges
from edgeroberta.evaluation.limits import GateLimits, RobustnessLimits, SliceLimits, SwapLimits
from edgeroberta.evaluation.result import Report
from edgeroberta.evaluation.slices import SlicesAsked
from edgeroberta.measure.process import MeasuredModel, Worker
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.progress import Progress
from edgeroberta.runtime import manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VerifyRequest:
    """What to verify."""

    bundle: Path  # bundle folder
    data: DataSpec | None = None  # where the rows are; None for the data the bundle was made with
    reference: Path | None = None  # folder of the baseline; None for the one the bundle carries
    engines: tuple[str, ...] | None = None  # engines to measure; None for all of the bundle's
    threads: int = 1
    keep_examples: bool = False  # keep the texts of changed answers in the report
    metric: str | None = None  # name of the metric that counts; None for the one the bundle was judged by
    #: lists of terms to swap, see :mod:`edgeroberta.evaluation.term_lists`; None for those of the reference
    swaps: tuple[str, ...] | None = None
    perturb: tuple[str, ...] | None = None  # perturbations to ask; None for those of the reference
    slices: SlicesAsked | None = None  # what rows are told apart by; None for what the bundle was judged by
    max_slice_drop: float | None = None  # largest loss on any slice; None for what the bundle's gate says
    max_swap_increase: float | None = None  # largest increase of changed answers; None likewise
    max_perturbed_drop: float | None = None  # largest loss on perturbed texts; None likewise


def recheck(
    request: VerifyRequest, *, progress: Progress, start: Callable[[SubjectSpec], MeasuredModel] = Worker
) -> Report:
    """Measure a bundle and ask its gate. Returns the report; the bundle is not changed."""
    facts = manifest.read(request.bundle)
    gate = provenance.stored_gate(request.bundle)
    if request.reference is not None:
        full = reference.load(request.reference)
    else:
        stored = provenance.stored_reference(request.bundle)
        if stored is None:
            raise UsageError(
                "the bundle carries no baseline",
                where=str(request.bundle),
                hint="edgeroberta reference MODEL --data … -o ref/, then add --reference ref/",
            )
        full = stored
    parts = request.slices or provenance.stored_slices(request.bundle)
    gate = _bounded(gate, request, parts)
    rows = provenance.heldout_rows(facts, request.data, digest=full.data_digest, slice_columns=parts.columns)
    reference.check(full, rows=rows, task=facts.task, overlap=facts.long_texts.overlap)
    task = facts.task  # which may be judged by another metric than the reference's
    if request.metric is not None:
        task = glue.judge(task, request.data, request.metric, logger.info)
        gate = replace(gate, metric=request.metric)
    changes = WantedChanges(request.swaps, request.perturb)
    full = replace(full, task=task, changed=changed_reference.wanted(request.bundle, full, gate, changes))
    options = EvaluationOptions(
        gate=gate,
        engines=request.engines,
        threads=request.threads,
        keep_examples=request.keep_examples,
        leaked=provenance.stored_leak(request.bundle, full.data_digest),
        slices=parts,
    )
    found = verify(request.bundle, rows, full, options=options, progress=progress, start=start)
    lineage: list[Mapping[str, Any]] = list(facts.lineage)
    return found.with_history((), lineage)


#: What the user may bound by an option: the field of the request, the gate's, and the bound in that.
_BOUNDS: tuple[tuple[str, str, str, Callable[[], Any]], ...] = (
    ("max_slice_drop", "slices", "max_drop", SliceLimits),
    ("max_swap_increase", "swaps", "max_increase", SwapLimits),
    ("max_perturbed_drop", "robustness", "max_drop", RobustnessLimits),
)


def _bounded(gate: GateLimits, request: VerifyRequest, asked: SlicesAsked) -> GateLimits:
    """Put the bounds that the user names into a gate."""
    for option, field, bound, limits in _BOUNDS:
        value, where = getattr(request, option), f"--{option.replace('_', '-')}"
        if value is None:
            continue
        if not 0 <= value <= 1:
            raise UsageError(f"must be from 0 to 1, not {value:g}", where=where, hint="0.03 is three points")
        if limits is SliceLimits and not asked:
            raise UsageError(
                "a loss on slices is bounded, and no slices are asked for",
                where=where,
                hint="add --slices column=NAME, length, label or words=FILE",
            )
        changed: dict[str, Any] = {field: replace(getattr(gate, field) or limits(), **{bound: value})}
        gate = replace(gate, **changed)
    return gate
