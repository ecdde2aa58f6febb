"""The report of a verification: what was measured on what, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from edgeroberta.evaluate.per_stage import Ledger
from edgeroberta.hardware import Device
from edgeroberta.latency.int8 import Gain
from edgeroberta.measure.clock import Latency
from edgeroberta.measure.protocol import Status
from edgeroberta.metrics import Interval
from edgeroberta.runtime.session import ENGINES

SCHEMA_VERSION = 1


class Verdict(str, Enum):
    """What the gate says."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"  #: too few rows to tell

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Gate:
    """How much a compressed model may lose.

    Attributes:
        max_drop: Largest loss of the task's metric; 0.01 is one point.
        min_agreement: Smallest share of rows with the full-size model's answer.
        confidence: Of the interval that the loss must lie in, two-sided.
        min_kept: Smallest share of the full-size model's metric; None where only ``max_drop`` counts.
        metric: Name of the metric that counts; None for the task's own.
    """

    max_drop: float = 0.01
    min_agreement: float = 0.95
    confidence: float = 0.95
    min_kept: float | None = None
    metric: str | None = None

    def allowed(self, full_size: float) -> float:
        """Return the largest loss that both ``max_drop`` and ``min_kept`` allow.

        Args:
            full_size: The full-size model's metric.
        """
        if self.min_kept is None:
            return self.max_drop
        return min(self.max_drop, (1 - self.min_kept) * max(full_size, 0.0))


@dataclass(frozen=True)
class Judgement:
    """A verdict and why.

    Attributes:
        verdict: What the gate says.
        reason: One sentence with the numbers.
        rows_needed: Rows in all that would decide, when it is INCONCLUSIVE for want of rows; different texts
            where some are copies.
    """

    verdict: Verdict
    reason: str
    rows_needed: int | None = None


@dataclass(frozen=True)
class Invariance:
    """Whether a text's answer depends on what shares its batch, or on padding.

    Attributes:
        rows: Texts that were tried.
        ways: How each was asked, beside alone.
        max_delta: Largest difference of a logit from that of the text alone.
        flips: Texts whose answer changed in some way.
    """

    rows: int
    ways: tuple[str, ...]
    max_delta: float
    flips: int


@dataclass(frozen=True)
class Flip:
    """A row that the compressed model answers in another way.

    Attributes:
        row: Number of the row.
        text: Its text; None where texts are not to be kept.
        pair: Its second text, likewise.
        truth: Its label.
        full_size: The full-size model's answer.
        compressed: The compressed model's answer.
    """

    row: int
    text: str | None
    pair: str | None
    truth: str
    full_size: str
    compressed: str


@dataclass(frozen=True)
class EngineResult:
    """The bundle on one engine. What could not be measured is None.

    Attributes:
        engine: Name of the engine.
        version: Its version.
        status: Whether it ran, and whether its answers were right.
        judgement: The gate's verdict for this engine.
        metrics: All metrics of the task.
        drop: The metric, full-size minus compressed, with its interval.
        agreement: Share of rows with the full-size model's answer.
        agreement_interval: The same with its interval; reports of version 0.3 and before have none.
        flips: Number of rows without it.
        latency: Single texts, tokenization included.
        cold_start_s: From before the import to the first answer.
        peak_bytes: Peak memory of a process that answers single texts.
        bytes: Size of the files this engine loads.
        invariance: Whether answers depend on batch and padding.
        gain: What int8 brings over floats on this engine; None for floats and on a GPU.
    """

    engine: str
    version: str | None
    status: Status
    judgement: Judgement
    metrics: Mapping[str, float] | None = None
    drop: Interval | None = None
    agreement: float | None = None
    agreement_interval: Interval | None = None
    flips: int | None = None
    latency: Latency | None = None
    cold_start_s: float | None = None
    peak_bytes: int | None = None
    bytes: int | None = None
    invariance: Invariance | None = None
    gain: Gain | None = None

    @property
    def to_come(self) -> bool:
        """True where the engine runs only on the device, and this machine is none."""
        return to_come(self.engine, self.status)


def to_come(engine: str, status: str) -> bool:
    """Tell whether an engine is still to be measured on the device: it runs there alone, and not here.

    Args:
        engine: Its name.
        status: How its row ended, a :class:`~edgeroberta.measure.protocol.Status`.
    """
    return status == Status.MISSING.value and engine in ENGINES and ENGINES[engine].on_device


@dataclass(frozen=True)
class Report:
    """A verification.

    Attributes:
        judgement: The worst verdict of all engines that could be measured here.
        gate: What was asked for.
        metric: Name of the metric that the gate is about.
        problem: Kind of task.
        labels: Its labels.
        data: ``source``, ``digest``, ``rows``, how many different ``texts`` they have, and how many were
            ``leaked``: also among the training data, None where that is not known.
        full_size: The reference, without its logits.
        engines: The bundle on each engine, the preferred one first.
        flips: Examples of changed answers on the first engine that ran.
        sites: What the quantizer chose for each matmul and why.
        lineage: The stages that made the bundle.
        machine: Where this was measured.
        measured_at: When, in UTC (ISO 8601).
        ledger: What the model was worth after every stage; None where no run made it, as when a bundle
            is verified again. Reports of version 0.2 and before have none.
        warnings: What makes the figures say less than they seem to.
    """

    judgement: Judgement
    gate: Gate
    metric: str
    problem: str
    labels: tuple[str, ...]
    data: Mapping[str, Any]
    full_size: Mapping[str, Any]
    engines: tuple[EngineResult, ...]
    flips: tuple[Flip, ...]
    machine: Device
    measured_at: str
    sites: Sequence[Mapping[str, Any]] = ()
    lineage: Sequence[Mapping[str, Any]] = ()
    ledger: Ledger | None = None
    warnings: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all engines that could be measured here."""
        return self.judgement.verdict

    def with_history(
        self,
        sites: Sequence[Mapping[str, Any]],
        lineage: Sequence[Mapping[str, Any]],
        ledger: Ledger | None = None,
    ) -> Report:
        """Return the report with the quantizer's choices, the stages and their ledger filled in."""
        return replace(self, sites=tuple(sites), lineage=tuple(lineage), ledger=ledger)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {"schema_version": SCHEMA_VERSION, "kind": "edgeroberta-report", **asdict(self)}
