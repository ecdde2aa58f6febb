"""How much is lost on each slice, and how many rows it would take to know.

The intervals of all slices hold at once: each shares its probability of being wrong among all (Bonferroni).
A max-statistic bootstrap makes narrower ones where slices overlap, but small slices, whose samples hardly
vary, then leave their intervals far more often than they may (``python -m benchmarks.slice_coverage``).

A PASS asks every slice at the gate's own confidence: it is wrong only where the interval of a slice that
truly lost too much is (Berger, Multiparameter Hypothesis Testing and Acceptance Sampling, 1982).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.evaluation.gate import PairedAnswers
from edgeroberta.evaluation.limits import GateLimits, SliceLimits
from edgeroberta.evaluation.result import GateVerdict, SliceResult
from edgeroberta.evaluation.slices.grouping import RowSlice, true_labels
from edgeroberta.metrics import BootstrapOptions, Interval
from edgeroberta.metrics.binomial import rows_needed
from edgeroberta.tasks import Problem, Task

#: Samples that tell how many rows would decide, which is a rough number anyway.
_ROUGH = 1000
#: Metrics of one label per text that say how right the answers are, whatever labels are there.
_PLAIN = {Problem.SINGLE_LABEL: "accuracy", Problem.MULTI_LABEL: "subset_accuracy"}


def measure(
    answers: PairedAnswers,
    slices: Sequence[RowSlice],
    gate: GateLimits,
    *,
    samples: int = metrics.SAMPLES,
    needed: bool = True,
) -> tuple[SliceResult, ...]:
    """Find out how much of each slice is lost, in their order.

    ``answers``: of both models to all rows, with labels. ``gate``: with :attr:`GateLimits.slices` where it
    bounds them. ``samples``: of an interval, of one slice alone. ``needed``: whether to tell how many rows an
    open slice needs. Raises EdgeRobertaError: the outputs cannot be read as answers.
    """
    every, limits = _Answers(answers, gate), gate.slices or SliceLimits(None, None)
    bounds = sum(each is not None for each in (limits.max_drop, limits.min_agreement))
    alone = BootstrapOptions(answers.seed, confidence=gate.confidence, samples=samples)
    shared = alone.shared(len(slices) * max(1, bounds))
    found = []
    for each in slices:
        part = every.part(each)
        made = part.result(each, shared) if len(each.rows) else part.nothing(each)
        if gate.slices is not None:
            made = part.judged(made, limits, alone)
            if needed and made.verdict is GateVerdict.INCONCLUSIVE:
                made = replace(made, rows_needed=part.rows_needed(made, limits, alone, shared))
        found.append(made)
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Answers:
    """What both models say to all rows."""

    answers: PairedAnswers
    gate: GateLimits
    compared: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # by metric, once it was asked for

    @cached_property
    def same(self) -> npt.NDArray[np.bool_]:
        task = self.answers.task
        return task.kind.agrees(self.gate.of(task), *self.answers.answers)

    def of(self, metric: str) -> tuple[Any, Any]:
        """Return what a metric compares, of both models; of all rows, since a search is among all of them."""
        if metric not in self.compared:
            task, truth = self.answers.task, self.answers.truth
            chosen = metrics.named(task, truth, metric)
            first, second = (chosen.compared(each, truth, task) for each in self.answers.answers)
            self.compared[metric] = first, second
        return self.compared[metric]

    def part(self, chosen: RowSlice) -> _Part:
        """Return what both models say to the rows of a slice."""
        rows, answers = chosen.rows, self.answers
        truth = answers.truth[rows]
        metric, note = _metric(answers.task, self.gate.metric or answers.task.metric, truth)
        compared = None
        if metric is not None:
            first, second = self.of(metric)
            compared = first[rows], second[rows]
        groups = None if answers.groups is None else answers.groups[rows]
        return _Part(answers.task, metric, note, compared, truth, self.same[rows], groups)


@dataclass(frozen=True, eq=False)
class _Part:
    """What both models say to the rows of one slice."""

    task: Task
    metric: str | None  # that says something of these rows
    note: str
    compared: tuple[Any, Any] | None  # what the metric compares, of the baseline and of the compressed model
    truth: Any
    same: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int64] | None

    @property
    def texts(self) -> int:
        """How many rows stand alone."""
        return len(self.same) if self.groups is None else len(np.unique(self.groups))

    def nothing(self, chosen: RowSlice) -> SliceResult:
        """Tell of a slice without rows."""
        return SliceResult(
            chosen.by, chosen.name, 0, 0, self.metric, None, None, None, None, None, None, None
        )

    def result(self, chosen: RowSlice, shared: BootstrapOptions) -> SliceResult:
        """Measure a slice, without a verdict."""
        draws = replace(shared, groups=self.groups)
        found = SliceResult(
            by=chosen.by,
            name=chosen.name,
            rows=len(self.same),
            texts=self.texts,
            metric=self.metric,
            baseline=None,
            compressed=None,
            drop=None,
            most=None,
            agreement=metrics.share_interval(self.same, draws),
            least=None,
            verdict=None,
            note=self.note,
        )
        if self.metric is None or self.compared is None:
            return found
        kind = self.task.kind.metrics[self.metric]
        full, ours = (metrics.value_of(kind, self.task, each, self.truth) for each in self.compared)
        drop = metrics.drop_of_compared(self.task, *self.compared, self.truth, draws, metric=self.metric)
        return replace(found, baseline=full, compressed=ours, drop=drop)

    def judged(self, found: SliceResult, limits: SliceLimits, alone: BootstrapOptions) -> SliceResult:
        """Say what the gate says to a slice."""
        if found.rows:
            draws = replace(alone, groups=self.groups)
            most = None if found.drop is None else max(found.drop.mean, self.most(draws))
            least = None if found.agreement is None else min(found.agreement.mean, self.least(draws))
            found = replace(found, most=most, least=least)
        return replace(found, verdict=_verdict(found, limits))

    def rows_needed(
        self, found: SliceResult, limits: SliceLimits, alone: BootstrapOptions, shared: BootstrapOptions
    ) -> int | None:
        """Tell how many rows would decide about a slice, at least as many as pass where nothing changes."""
        passing = _fewest(limits, alone.tail)
        if not found.rows:
            return passing
        alone, shared = (replace(each, groups=self.groups, samples=_ROUGH) for each in (alone, shared))
        needed = self.needed(found, limits, alone, shared)
        return max(needed, passing or 0) if needed is not None and self.texts < (passing or 0) else needed

    def most(self, draws: BootstrapOptions, *, gain: bool = False) -> float:
        """Return the upper end of the drop; ``gain``: of what is gained."""
        assert self.compared is not None
        assert self.metric is not None
        better, worse = reversed(self.compared) if gain else self.compared
        return metrics.largest_drop(self.task, better, worse, self.truth, draws, metric=self.metric)

    def least(self, draws: BootstrapOptions) -> float:
        """Return the lower end of the agreement."""
        return metrics.share_interval(self.same, draws).low

    def needed(
        self, found: SliceResult, limits: SliceLimits, alone: BootstrapOptions, shared: BootstrapOptions
    ) -> int | None:
        """Estimate how many rows like these would decide; None where hardly any number would."""
        open_: list[int | None] = []
        if limits.max_drop is not None:
            if found.drop is None:
                open_.append(_fewest(limits, alone.tail))
            elif found.most is not None and found.most > limits.max_drop:
                open_.append(self.until(self.drop_decided(found.drop, limits.max_drop, alone, shared)))
        if limits.min_agreement is not None and found.agreement is not None:
            asked = limits.min_agreement
            if found.least is not None and found.least < asked:
                open_.append(self.until(self.agreement_decided(found.agreement, asked, alone, shared)))
        known = [each for each in open_ if each is not None]
        # What fails needs one bound that is broken, what passes all of them kept.
        return max(known) if len(known) == len(open_) and known else None

    def until(self, decided: Callable[[float], bool]) -> int | None:
        return metrics.rows_to_decide(decided, self.texts)

    def drop_decided(
        self, drop: Interval, allowed: float, alone: BootstrapOptions, shared: BootstrapOptions
    ) -> Callable[[float], bool]:
        """Return what tells whether the drop is decided with so many times as many rows."""
        if drop.mean <= allowed:
            return lambda scale: self.most(replace(alone, scale=scale)) <= allowed
        return lambda scale: -self.most(replace(shared, scale=scale), gain=True) > allowed

    def agreement_decided(
        self, agreement: Interval, asked: float, alone: BootstrapOptions, shared: BootstrapOptions
    ) -> Callable[[float], bool]:
        """Return the same for the agreement."""
        if agreement.mean >= asked:
            return lambda scale: self.least(replace(alone, scale=scale)) >= asked
        return lambda scale: metrics.share_interval(self.same, replace(shared, scale=scale)).high < asked


def _verdict(found: SliceResult, limits: SliceLimits) -> GateVerdict:
    passed = True
    if limits.max_drop is not None:
        if found.drop is not None and found.drop.low > limits.max_drop:
            return GateVerdict.FAIL
        passed = found.most is not None and found.most <= limits.max_drop
    if limits.min_agreement is not None:
        if found.agreement is not None and found.agreement.high < limits.min_agreement:
            return GateVerdict.FAIL
        passed = passed and found.least is not None and found.least >= limits.min_agreement
    return GateVerdict.PASS if passed else GateVerdict.INCONCLUSIVE


def fewest(gate: GateLimits) -> int | None:
    """Return how many different texts of a slice let it pass where nothing changes; None where none need.

    As many as let a share of lost ones be ruled out that is too large: an F1 may take somewhat more.
    """
    return _fewest(gate.slices or SliceLimits(), BootstrapOptions(confidence=gate.confidence).tail)


def _fewest(limits: SliceLimits, tail: float) -> int | None:
    bounds = [1 - limits.max_drop] if limits.max_drop is not None else []
    bounds += [limits.min_agreement] if limits.min_agreement is not None else []
    found = [rows_needed(each, 1 - tail) for each in bounds if 0 < each < 1]
    return max((each for each in found if each is not None), default=None)


def _metric(task: Task, asked: str, truth: Any) -> tuple[str | None, str]:
    """Return the metric that says something of such rows, and why it is not the one that is asked for."""
    if not len(truth):
        return asked, ""
    kind = task.kind.metrics[asked]
    if kind.correlation and truth.dtype.kind == "f" and (len(truth) < 3 or np.ptp(truth) == 0):
        return None, f"too few different values for a {asked}"
    plain = _PLAIN.get(task.problem)
    if asked == plain:
        return asked, ""
    if task.problem is Problem.SINGLE_LABEL:
        alike = len(np.unique(truth)) == 1
        return (plain, f"all rows have one label, of which there is no {asked}") if alike else (asked, "")
    if task.problem in (Problem.MULTI_LABEL, Problem.TOKENS) and not true_labels(task, truth)[1].any():
        noun = "entity" if task.problem is Problem.TOKENS else "label"
        return plain, f"no row has any {noun}, so there is no {asked}"
    return asked, ""
