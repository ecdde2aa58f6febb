"""Asks a bundle changed texts on each of its engines, and compares its answers with the baseline's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeroberta.data import Rows, texts
from edgeroberta.errors import UsageError
from edgeroberta.evaluation import robustness, swap_rates
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.changed_answers import inputs, missing
from edgeroberta.evaluation.changed_rows import ChangedRows, change, filled, labels
from edgeroberta.evaluation.combined import combined
from edgeroberta.evaluation.gate import PairedAnswers
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import EngineResult, GateVerdict, Judgement, PerturbedLoss, SwapRate
from edgeroberta.evaluation.robustness import PerturbedAnswers
from edgeroberta.evaluation.swap_rates import SwapFlips
from edgeroberta.measure import subjects
from edgeroberta.measure.process import MeasuredModel
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun, answer_all, run_interleaved
from edgeroberta.progress import Progress
from edgeroberta.tasks import Outputs

Start = Callable[[SubjectSpec], MeasuredModel]


@dataclass(frozen=True)
class ChangeAsking:
    """How a bundle is asked."""

    threads: int  # threads an engine gets
    seed: int  # of intervals
    start: Start
    progress: Progress


@dataclass(frozen=True)
class ChangeEvidence:
    """What was found of changed texts on one engine."""

    swaps: tuple[SwapRate, ...] = ()
    robustness: tuple[PerturbedLoss, ...] = ()
    judgement: Judgement | None = None  # what the gate says; None where it bounds none of them


@dataclass(frozen=True, eq=False)
class AskedChange:
    """One change: its rows, and what the baseline gave for them."""

    changed: ChangedRows
    full: Outputs


def prepare(rows: Rows, reference: BaselineAnswers, gate: GateLimits) -> tuple[AskedChange, ...]:
    """Change the rows as they were for the reference; none where that was asked no changed texts.

    Raises UsageError: the baseline was asked other texts, or the gate is about some and it was asked none.
    """
    _require(reference, gate)
    if reference.changed is None:
        return ()
    found = []
    for each in change(rows, reference.changed.options, reference.task):
        full = reference.changed.of(each)
        if full is None:
            raise missing(reference.changed.options, "the baseline was asked other changed texts; it")
        found.append(AskedChange(each, full))
    return tuple(found)


def measure(
    asked: Sequence[AskedChange],
    bundle: Path,
    runs: Sequence[RepetitionRun],
    rows: Rows,
    reference: BaselineAnswers,
    gate: GateLimits,
    how: ChangeAsking,
) -> dict[str, ChangeEvidence]:
    """Ask changed texts on each engine that has answered the rows.

    ``asked``: as :func:`prepare` makes them. ``runs``: the bundle on its engines, with its answers to
    ``rows``. Returns what was found by engine; nothing where there are no changed texts.
    """
    found = {}
    for run in runs if asked else ():
        if run.error is not None or run.outputs is None:
            continue
        ours = _answers(bundle, run, [each.changed for each in asked], how)
        if isinstance(ours, Judgement):
            found[run.name] = ChangeEvidence(judgement=ours)
            continue
        found[run.name] = _evidence(
            list(zip(asked, ours, strict=True)), rows, reference, run.outputs, gate, how.seed
        )
    return found


def _require(reference: BaselineAnswers, gate: GateLimits) -> None:
    """Refuse a gate about changed texts where the baseline was asked none."""
    options = None if reference.changed is None else reference.changed.options
    for bound, asked, option in (
        ("swaps", options is not None and bool(options.swaps), "--swaps gender"),
        ("robustness", options is not None and bool(options.perturb), "--perturb typos,case"),
    ):
        if getattr(gate, bound) is not None and not asked:
            raise UsageError(
                f"the gate bounds {bound}, and the baseline was not asked such texts",
                where="--reference",
                hint=f"edgeroberta reference MODEL --data … {option} -o ref/, then add --reference ref/",
                code="usage.changed-texts",
            )


def applied(result: EngineResult, found: ChangeEvidence | None) -> EngineResult:
    """Add what was found to the result of an engine, and lower its verdict where the gate says so."""
    if found is None:
        return result
    judgement = result.judgement if found.judgement is None else combined(result.judgement, found.judgement)
    failed = judgement.verdict is GateVerdict.FAIL and result.status is RowStatus.OK
    return replace(
        result,
        judgement=judgement,
        status=RowStatus.WRONG if failed else result.status,
        swaps=found.swaps,
        robustness=found.robustness,
    )


def _answers(
    bundle: Path, run: RepetitionRun, changed: Sequence[ChangedRows], how: ChangeAsking
) -> list[Outputs] | Judgement:
    """Open the bundle once more and ask it all changed texts; a judgement where it fails."""
    given = inputs(changed)
    engine = run.name.replace(",", "+")
    (spec,) = subjects.bundle_specs(bundle, given, engines=(engine,), threads=how.threads)
    again = RepetitionRun(run.name, how.start(spec))
    try:
        run_interleaved([again], RepetitionPlan(rounds=0, threads=how.threads), [], how.progress)
        answer_all([again], len(given), how.progress)
    finally:
        again.worker.close()
    if again.error is not None or again.outputs is None:
        what = "no answers" if again.error is None else f"{again.error.status}: {again.error.what}"
        return Judgement(GateVerdict.FAIL, f"on changed texts {what}")
    parts, at = [], 0
    for each in changed:
        parts.append(again.outputs[at : at + len(each)])
        at += len(each)
    return parts


def _evidence(
    asked: Sequence[tuple[AskedChange, Outputs]],
    rows: Rows,
    reference: BaselineAnswers,
    outputs: Outputs,
    gate: GateLimits,
    seed: int,
) -> ChangeEvidence:
    task, groups = gate.of(reference.task), texts.groups(rows)
    fixed = swap_rates.same_answer(task, reference.outputs)
    flipped = [
        SwapFlips(
            each.changed,
            swap_rates.flips(fixed, each.changed, reference.outputs, each.full),
            swap_rates.flips(fixed, each.changed, outputs, ours),
            groups[each.changed.numbers],
        )
        for each, ours in asked
        if each.changed.swapped
    ]
    clean = PairedAnswers(task, reference.outputs, outputs, rows.labels, groups, seed)
    perturbed = [
        PerturbedAnswers(
            each.changed,
            replace(
                clean,
                full=filled(reference.outputs, each.changed, each.full),
                ours=filled(outputs, each.changed, ours),
                labels=labels(each.changed, rows.labels),
            ),
            clean,
        )
        for each, ours in asked
        if not each.changed.swapped
    ]
    rates = swap_rates.measure(flipped, gate, seed)
    losses = robustness.measure(perturbed, gate)
    said = (
        swap_rates.judge(rates, flipped, gate, rows=len(rows), seed=seed),
        robustness.judge(losses, perturbed, gate, metric=gate.metric or task.metric),
    )
    judgements = [each for each in said if each is not None]
    return ChangeEvidence(rates, losses, combined(*judgements) if judgements else None)
