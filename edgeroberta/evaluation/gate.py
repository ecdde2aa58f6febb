"""The gate: what was found out about a compressed model's answers, and what to say to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.evaluation import recalls
from edgeroberta.evaluation.combined import ORDER
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, Judgement, LabelRecall
from edgeroberta.figures import interval as interval_text
from edgeroberta.figures import points
from edgeroberta.metrics import BootstrapOptions, Given, Interval
from edgeroberta.metrics.recalls import label_counts
from edgeroberta.tasks import Problem, Task

#: Samples that tell how many rows would decide, which is a rough number anyway.
_ROUGH = 1000


@dataclass(frozen=True, eq=False)
class PairedAnswers:
    """What two models say to the same rows."""

    task: Task  # how to read outputs
    full: Given  # outputs of the baseline, of n texts
    ours: Given  # those of the compressed model
    labels: Any = None  # of the rows, as the task has them; None where they have none
    #: int64 ``[n]``, equal for rows that stand or fall together, as rows with the same text do; None where
    #: each stands alone
    groups: npt.NDArray[np.int64] | None = None
    seed: int = 0  # seed of the intervals

    @cached_property
    def answers(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Both models' outputs, read as answers. Raises EdgeRobertaError: they cannot be."""
        rows = len(self.full) if self.labels is None else len(self.labels)
        full, ours = (self.task.decide(metrics.checked(self.task, each, rows)) for each in self.models)
        return full, ours

    @property
    def models(self) -> tuple[Given, Given]:
        """Outputs of the baseline and of the compressed model."""
        return self.full, self.ours

    @cached_property
    def truth(self) -> npt.NDArray[Any]:
        """The labels, read as answers."""
        return self.task.truth(self.labels)


@dataclass(frozen=True)
class LossEvidence:
    """What answers say of how much is lost."""

    rows: int  # rows that were measured
    agreement: Interval  # share of rows with the baseline's answer
    metric: str  # name of the metric that the gate is about
    baseline: float | None = None  # the baseline's; None without labels
    drop: Interval | None = None  # how much of it is lost; None without labels
    copies: int = 0  # rows that are copies of others
    recalls: tuple[LabelRecall, ...] = ()  # of the labels whose recall the gate bounds; none without labels
    noun: str = "rows"  # what bears a label: rows, or entities

    @property
    def texts(self) -> int:
        """How many rows stand alone."""
        return self.rows - self.copies

    @property
    def counted(self) -> str:
        """How many rows there are, for people, and of how many texts where some are copies."""
        return f"{self.rows:,} rows" + (f" of {self.texts:,} texts" if self.copies else "")


def measure_loss(
    answers: PairedAnswers,
    gate: GateLimits,
    *,
    scale: float = 1.0,
    samples: int = metrics.SAMPLES,
    labels: Sequence[str] | None = None,
) -> LossEvidence:
    """Find out how much is lost.

    ``scale``: with so many times as many rows of the same kinds. ``labels``: those whose recall to look at of
    all that the gate bounds; None for all.
    """
    task, metric = answers.task, gate.metric or answers.task.metric
    how = BootstrapOptions(answers.seed, answers.groups, gate.confidence, samples, scale)
    full, ours = answers.answers
    agreement = metrics.share_interval(task.kind.agrees(gate.of(task), full, ours), how)
    rows = len(answers.full)
    copies = 0 if answers.groups is None else rows - len(np.unique(answers.groups))
    found = LossEvidence(
        rows, agreement, metric, copies=copies, noun="entities" if task.problem is Problem.TOKENS else "rows"
    )
    if answers.labels is None:
        return found
    return replace(
        found,
        baseline=metrics.of_answers(task, full, answers.truth, metric),
        drop=metrics.drop_of_answers(task, full, ours, answers.truth, how, metric=metric),
        recalls=_recalls(answers, gate, how, labels),
    )


def _recalls(
    answers: PairedAnswers, gate: GateLimits, how: BootstrapOptions, labels: Sequence[str] | None
) -> tuple[LabelRecall, ...]:
    recall = answers.task.kind.recall(answers.task)
    asked = gate.recall_labels(() if recall is None else recall[0])
    if not asked:
        return ()
    counts = label_counts(
        answers.task,
        *answers.answers,
        answers.truth,
        answers.groups,
        labels=asked if labels is None else labels,
    )
    return recalls.measure(counts, gate, how, among=recalls.bounds(gate, asked))


def apply_gate(answers: PairedAnswers, gate: GateLimits) -> tuple[Judgement, LossEvidence]:
    """Ask the gate.

    ``gate``: what may be lost. Returns FAIL when too many answers differ or too much is lost beyond doubt,
    PASS when neither is so beyond doubt, INCONCLUSIVE otherwise, with the rows that would decide; and what
    was found. Raises EdgeRobertaError: the logits are not finite, or not one row of L per row. UsageError:
    the gate bounds the recall of a label that the task does not have.
    """
    evidence = measure_loss(answers, gate)
    found = gate_decision(evidence, gate)
    if found.verdict is not GateVerdict.INCONCLUSIVE:
        return found, evidence
    open_ = [each for each in evidence.recalls if each.verdict is GateVerdict.INCONCLUSIVE]
    if not all(each.count for each in open_):
        return Judgement(found.verdict, f"{found.reason}; rows that have it would decide"), evidence
    labels = [each.label for each in open_]

    def decided(scale: float) -> bool:
        loss = measure_loss(answers, gate, scale=scale, samples=_ROUGH, labels=labels)
        return gate_decision(loss, gate).verdict is not GateVerdict.INCONCLUSIVE

    needed = metrics.rows_to_decide(decided, evidence.texts)
    if needed is None:
        end = "the model lies so near to the limit that more rows would hardly decide"
    else:
        what = "different texts" if evidence.copies else "rows"
        having = ""
        if open_:
            rarest = recalls.worst(open_)
            share = math.ceil(rarest.texts * needed / evidence.texts)
            having = f", {share:,} of them with {rarest.label}"
        end = f"about {needed - evidence.texts:,} more {what} ({needed:,} in all{having}) would decide"
    return Judgement(found.verdict, f"{found.reason}; {end}", needed), evidence


def gate_decision(evidence: LossEvidence, gate: GateLimits) -> Judgement:
    """Say whether the intervals lie on one side of what the gate allows; all of its conditions must hold."""
    said = [_agreement(evidence, gate)]
    if evidence.drop is not None and evidence.baseline is not None:
        said.append(_drop(evidence.drop, evidence.baseline, evidence, gate))
    if evidence.recalls:
        said.append(recalls.judge(evidence.recalls, evidence.noun))
    # Of some that say the same, the drop is what people ask for; and a label, where they ask for one.
    found = min(reversed(said), key=lambda each: ORDER.index(each.verdict))
    if evidence.recalls and found.verdict is GateVerdict.PASS:
        return Judgement(found.verdict, "; ".join(each.reason for each in said[1:]))
    return found


def _agreement(evidence: LossEvidence, gate: GateLimits) -> Judgement:
    found, least = evidence.agreement, gate.min_agreement
    numbers = (
        f"the same answer on {found.mean:.1%} ({found.low:.1%} to {found.high:.1%}) of "
        f"{evidence.counted}, the gate asks for {least:.1%}"
    )
    if found.high < least:
        return Judgement(GateVerdict.FAIL, numbers)
    return Judgement(GateVerdict.PASS if found.low >= least else GateVerdict.INCONCLUSIVE, numbers)


def _drop(drop: Interval, baseline: float, evidence: LossEvidence, gate: GateLimits) -> Judgement:
    allowed = gate.allowed(baseline)
    numbers = (
        f"the drop of {evidence.metric} is {interval_text(drop.mean, drop.low, drop.high)} points on "
        f"{evidence.counted}, the gate allows {points(allowed)}"
    )
    if drop.low > allowed:
        return Judgement(GateVerdict.FAIL, numbers)
    return Judgement(GateVerdict.PASS if drop.high <= allowed else GateVerdict.INCONCLUSIVE, numbers)
