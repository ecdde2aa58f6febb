"""The report of a verification: what was measured on what, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgeroberta.evaluation.cascades import CascadeResult
from edgeroberta.evaluation.compared_answers import ComparedAnswers
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.per_stage import PerStageMetrics
from edgeroberta.hardware import MachineFacts
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.measure.clock import Latency
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.metrics import Interval
from edgeroberta.runtime.session import ENGINES
from edgeroberta.tasks import Word

SCHEMA_VERSION = 2


class GateVerdict(Word):
    """What the gate says."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"  #: too few rows to tell


@dataclass(frozen=True)
class Judgement:
    """A verdict and why."""

    verdict: GateVerdict  # what the gate says
    reason: str  # one sentence with the numbers
    #: rows in all that would decide, when it is INCONCLUSIVE for want of rows; different texts where some are
    #: copies
    rows_needed: int | None = None


@dataclass(frozen=True)
class LabelRecall:
    """How much of what bears a label is found, and what the gate says to that.

    What no row shows is None. Of each interval the end that a PASS asks for is that of the gate's
    ``confidence``; the other one shares its probability among all bounds on recall.
    """

    label: str
    count: int  # how many rows, or entities, bear it
    texts: int  # how many different texts have it
    baseline: float | None  # the baseline's recall
    recall: Interval | None  # the compressed model's
    drop: Interval | None  # baseline minus compressed
    least: float | None  # the smallest recall that the gate asks for; None where it asks for none
    most: float | None  # the largest drop that it allows, likewise
    verdict: GateVerdict  # the worse one of both


@dataclass(frozen=True)
class SwapRate:
    """How often swapping the terms of a list changes an answer, before compression and after.

    Of the interval the end that a PASS asks for is that of the gate's ``confidence``; the other one shares
    its probability among all lists.
    """

    name: str  # name of the list
    rows: int  # rows that have a term
    texts: int  # how many different texts these are
    guessed: int  # rows with a term, such as "her", whose reading the next word decided
    baseline: float  # share of these rows whose answer changes with their terms, of the baseline
    compressed: float  # the same of the compressed model
    only_baseline: int  # rows whose answer changes of the baseline alone
    only_compressed: int  # of the compressed model alone
    increase: Interval  # compressed minus baseline
    most: float | None  # the largest increase that the gate allows; None where it allows any
    verdict: GateVerdict | None  # None where the gate does not bound it


@dataclass(frozen=True)
class PerturbedLoss:
    """What is left of the metric on perturbed texts, before compression and after.

    Of the intervals the ends that a PASS asks for are those of the gate's ``confidence``; the others share
    their probability among all perturbations.
    """

    name: str  # name of the perturbation
    changed: int  # rows whose text it changes; the metric is of all rows
    baseline: float  # the baseline's metric on perturbed texts
    compressed: float  # that of the compressed model
    baseline_loss: float  # how much of the metric perturbing costs the baseline
    compressed_loss: float  # and the compressed model
    drop: Interval  # the metric on perturbed texts, baseline minus compressed
    agreement: Interval  # share of rows with the baseline's answer to the same perturbed text
    most: float | None  # the largest drop that the gate allows; None where it allows any
    least: float | None  # the smallest agreement, likewise
    verdict: GateVerdict | None  # None where the gate bounds neither


@dataclass(frozen=True)
class SliceResult:
    """What is lost on some of the rows, and what the gate says to that. What no row shows is None."""

    by: str  # what rows are told apart by: the name of a column, or length, label, words
    name: str  # what these rows have of it
    rows: int  # how many they are
    texts: int  # how many different texts
    metric: str | None  # that they are judged by; None where none says anything of them
    baseline: float | None  # the baseline's
    compressed: float | None  # the compressed model's
    drop: Interval | None  # baseline minus compressed; the intervals of all slices hold at once
    most: float | None  # upper end of the drop's interval for this slice alone, which a PASS asks for
    agreement: Interval | None  # share of rows with the baseline's answer; the intervals hold at once
    least: float | None  # lower end of the agreement's interval for this slice alone
    verdict: GateVerdict | None  # None where the gate does not bound slices
    #: rows of this slice, or different texts, that would decide; None where these do, or hardly any would
    rows_needed: int | None = None
    note: str = ""  # why there is no metric, or another one than for all rows

    @property
    def title(self) -> str:
        """What the slice is called."""
        return f"{self.by}={self.name}"


@dataclass(frozen=True)
class Invariance:
    """Whether a text's answer depends on what shares its batch, or on padding."""

    rows: int  # texts that were tried
    ways: tuple[str, ...]  # how each was asked, beside alone
    max_delta: float  # largest difference of a logit from that of the text alone
    flips: int  # texts whose answer changed in some way


@dataclass(frozen=True)
class AnswerFlip:
    """A row that the compressed model answers in another way."""

    row: int  # number of the row
    text: str | None  # its text; None where texts are not to be kept
    pair: str | None  # its second text, likewise
    truth: str  # its label
    baseline: str  # the baseline's answer
    compressed: str  # the compressed model's answer
    #: how sure the baseline is of its answer, a probability where labels have one; None where nobody knows.
    #: Reports of version 0.9 and before have none.
    confidence: float | None = None


@dataclass(frozen=True)
class EngineResult:
    """The bundle on one engine. What could not be measured is None."""

    engine: str  # name of the engine
    version: str | None
    status: RowStatus  # whether it ran, and whether its answers were right
    judgement: Judgement  # the gate's verdict for this engine
    metrics: Mapping[str, float] | None = None  # all metrics of the task
    drop: Interval | None = None  # the metric, baseline minus compressed, with its interval
    agreement: float | None = None  # share of rows with the baseline's answer
    #: the same with its interval; reports of version 0.3 and before have none
    agreement_interval: Interval | None = None
    recalls: tuple[LabelRecall, ...] = ()  # of the labels whose recall the gate bounds
    slices: tuple[SliceResult, ...] = ()  # of the slices that were asked for
    flips: int | None = None  # number of rows without it
    latency: Latency | None = None  # single texts, tokenization included
    cold_start_s: float | None = None  # from before the import to the first answer
    peak_bytes: int | None = None  # peak memory of a process that answers single texts
    bytes: int | None = None  # size of the files this engine loads
    invariance: Invariance | None = None  # whether answers depend on batch and padding
    gain: Int8Speedup | None = (
        None  # what int8 brings over floats on this engine; None for floats and on a GPU
    )
    cascade: CascadeResult | None = None  # of several models: who answered what; None for one model
    swaps: tuple[SwapRate, ...] = ()  # of each list of terms that was asked
    robustness: tuple[PerturbedLoss, ...] = ()  # of each perturbation that was asked

    @property
    def to_come(self) -> bool:
        """True where the engine runs only on the device, and this machine is none."""
        return to_come(self.engine, self.status)


def to_come(engine: str, status: str) -> bool:
    """Tell whether an engine is still to be measured on the device: it runs there alone, and not here."""
    return status == RowStatus.MISSING.value and engine in ENGINES and ENGINES[engine].on_device


@dataclass(frozen=True)
class Report:
    """A verification."""

    judgement: Judgement  # the worst verdict of all engines that could be measured here
    gate: GateLimits  # what was asked for
    metric: str  # name of the metric that the gate is about
    problem: str  # kind of task
    labels: tuple[str, ...]
    #: ``source``, ``digest``, ``rows``, how many different ``texts`` they have, and how many were ``leaked``:
    #: also among the training data, None where that is not known
    data: Mapping[str, Any]
    baseline: Mapping[str, Any]  # the reference, without its logits
    engines: tuple[EngineResult, ...]  # the bundle on each engine, the preferred one first
    flips: tuple[AnswerFlip, ...]  # examples of changed answers on the first engine that ran
    machine: MachineFacts  # where this was measured
    measured_at: str  # when, in UTC (ISO 8601)
    linear_ops: Sequence[Mapping[str, Any]] = ()  # what the quantizer chose for each matmul and why
    lineage: Sequence[Mapping[str, Any]] = ()  # the stages that made the bundle
    #: what the model was worth after every stage; None where no run made it, as when a bundle is verified
    #: again. Reports of version 0.2 and before have none.
    per_stage: PerStageMetrics | None = None
    #: how tags of tokens mark where entities begin and end, in the data; None for other kinds of task, and in
    #: reports of version 0.4 and before
    scheme: str | None = None
    #: of a cascade, what was chosen, on which rows, and how it did, as ``report.cascade.sections`` takes it;
    #: None for one model. Reports of version 0.7 and before have none.
    cascade: Mapping[str, Any] | None = None
    #: what was learnt from unlabelled text, as ``report.pretraining.sections`` takes it: one entry for each
    #: such stage. Reports of version 0.8 and before have none.
    pretraining: Sequence[Mapping[str, Any]] = ()
    #: which slices were asked for, see :class:`edgeroberta.evaluation.slices.SlicesAsked`; None for none
    slices: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()  # what makes the figures say less than they seem to
    #: the answers of both models in numbers, on the first engine that ran; None where none did, and in
    #: reports of version 0.9 and before
    answers: ComparedAnswers | None = None

    @property
    def verdict(self) -> GateVerdict:
        """The worst verdict of all engines that could be measured here."""
        return self.judgement.verdict

    def with_history(
        self,
        linear_ops: Sequence[Mapping[str, Any]],
        lineage: Sequence[Mapping[str, Any]],
        per_stage: PerStageMetrics | None = None,
    ) -> Report:
        """Return the report with the quantizer's choices, the stages and their metrics filled in."""
        return replace(self, linear_ops=tuple(linear_ops), lineage=tuple(lineage), per_stage=per_stage)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {"schema_version": SCHEMA_VERSION, "kind": "edgeroberta-report", **asdict(self)}
