"""The gate on perturbed texts: does the compressed model lose more of its metric there than it may?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeroberta import metrics
from edgeroberta.evaluation import recalls
from edgeroberta.evaluation.changed_rows import ChangedRows
from edgeroberta.evaluation.gate import LossEvidence, PairedAnswers, measure_loss
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, Interval, Judgement, PerturbedLoss
from edgeroberta.figures import interval as interval_text
from edgeroberta.figures import points

_ROUGH = 1000


@dataclass(frozen=True, eq=False)
class PerturbedAnswers:
    """What both models answer to all rows, perturbed, and as they were."""

    changed: ChangedRows
    perturbed: PairedAnswers
    clean: PairedAnswers

    def scores(self, metric: str) -> tuple[float, float, float, float]:
        """Return the metric of both models, the baseline's first: on perturbed texts, then on the texts."""
        found = [
            metrics.of_answers(each.task, answers, each.truth, metric)
            for each in (self.perturbed, self.clean)
            for answers in each.answers
        ]
        return found[0], found[1], found[2], found[3]


def measure(found: Sequence[PerturbedAnswers], gate: GateLimits) -> tuple[PerturbedLoss, ...]:
    """Find out how much is lost under each perturbation."""
    return tuple(_measured(each, gate, among=len(found)) for each in found)


def _plain(gate: GateLimits) -> GateLimits:
    """Return the gate without its bounds on single labels, which are of texts as they are."""
    return replace(gate, min_recall={}, max_recall_drop=None)


def _shared(gate: GateLimits, among: int) -> GateLimits:
    return replace(gate, confidence=1 - (1 - gate.confidence) / max(among, 1))


def _measured(
    each: PerturbedAnswers,
    gate: GateLimits,
    *,
    among: int,
    scale: float = 1.0,
    samples: int = metrics.SAMPLES,
) -> PerturbedLoss:
    alone = _plain(gate)
    evidence = measure_loss(each.perturbed, alone, scale=scale, samples=samples)
    drop, agreement = _known(evidence), evidence.agreement
    limits = gate.robustness
    most, least = (None, None) if limits is None else (limits.max_drop, limits.min_agreement)
    beyond = (most is not None and drop.mean > most) or (least is not None and agreement.mean < least)
    if beyond and among > 1:
        # The ends that decide a FAIL share their probability among all perturbations.
        wide = measure_loss(each.perturbed, _shared(alone, among), scale=scale, samples=samples)
        drop = replace(drop, low=_known(wide).low)
        agreement = replace(agreement, high=wide.agreement.high)
    full, ours, full_clean, ours_clean = each.scores(evidence.metric)
    return PerturbedLoss(
        name=each.changed.name,
        changed=len(each.changed),
        baseline=full,
        compressed=ours,
        baseline_loss=full_clean - full,
        compressed_loss=ours_clean - ours,
        drop=drop,
        agreement=agreement,
        most=most,
        least=least,
        verdict=None if most is None else _verdict(drop, agreement, most, least),
    )


def _known(evidence: LossEvidence) -> Interval:
    if evidence.drop is None:
        raise ValueError("a drop takes labels")
    return evidence.drop


def _verdict(drop: Interval, agreement: Interval, most: float, least: float | None) -> GateVerdict:
    if drop.low > most or (least is not None and agreement.high < least):
        return GateVerdict.FAIL
    if drop.high <= most and (least is None or agreement.low >= least):
        return GateVerdict.PASS
    return GateVerdict.INCONCLUSIVE


def judge(
    losses: Sequence[PerturbedLoss], found: Sequence[PerturbedAnswers], gate: GateLimits, *, metric: str
) -> Judgement | None:
    """Say what the gate says of all perturbations together: its verdict of the worst, which the reason names.

    Returns None where it does not bound them.
    """
    bound = [(loss, each) for loss, each in zip(losses, found, strict=True) if loss.verdict is not None]
    if not bound:
        return None
    worst, answers = min(
        bound, key=lambda pair: (recalls.ORDER.index(pair[0].verdict or GateVerdict.PASS), -_beyond(pair[0]))
    )
    verdict, reason = worst.verdict or GateVerdict.PASS, told(worst, metric)
    others = [loss.name for loss, _ in bound if loss.verdict is verdict and loss is not worst]
    if others and verdict is not GateVerdict.PASS:
        reason += f" ({', '.join(others)}: {'too much, too' if verdict is GateVerdict.FAIL else 'open, too'})"
    if verdict is not GateVerdict.INCONCLUSIVE:
        return Judgement(verdict, reason)

    def decided(scale: float) -> bool:
        again = _measured(answers, gate, among=len(found), scale=scale, samples=_ROUGH)
        return again.verdict is not GateVerdict.INCONCLUSIVE

    groups = answers.perturbed.groups
    texts = len(answers.perturbed.labels) if groups is None else int(groups.max()) + 1
    needed = metrics.rows_to_decide(decided, texts)
    if needed is None:
        return Judgement(
            verdict, f"{reason}; it lies so near to the limit that more rows would hardly decide"
        )
    return Judgement(
        verdict, f"{reason}; about {needed - texts:,} more rows ({needed:,} in all) would decide", needed
    )


def told(loss: PerturbedLoss, metric: str) -> str:
    """Say in one sentence what is lost under a perturbation."""
    drop, same = loss.drop, loss.agreement
    said = f"with {loss.name} the drop of {metric} is {interval_text(drop.mean, drop.low, drop.high)} points"
    if loss.most is not None:
        said += f", the gate allows {points(loss.most)}"
    if loss.least is not None:
        said += (
            f"; the same answer on {same.mean:.1%} ({same.low:.1%} to {same.high:.1%}), the gate asks for "
            f"{loss.least:.1%}"
        )
    return said


def _beyond(loss: PerturbedLoss) -> float:
    """Return how far the end that decides is beyond its bound, the farther one of both."""
    failed = loss.verdict is GateVerdict.FAIL
    most = 0.0 if loss.most is None else loss.most
    ends = [(loss.drop.low if failed else loss.drop.high) - most]
    if loss.least is not None:
        ends.append(loss.least - (loss.agreement.high if failed else loss.agreement.low))
    return max(ends)
