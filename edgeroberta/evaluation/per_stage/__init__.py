"""Per-stage metrics: what the model was worth after every stage of a run, to show which lost what.

Every model that a run made is measured in one way: as an ONNX graph in ONNX Runtime, with the tokenizer
that ships, on the held-out rows. Nothing is chosen by it. :mod:`.measuring` measures them, :mod:`.store`
keeps the rows from one run to the next, :mod:`edgeroberta.report.stage_metrics` lays them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StageRow:
    """One model of a run. What could not be measured is None."""

    stage: str  # the stage that made it; :data:`BASELINE` for the model that all others are held to
    kind: str  # ``checkpoint``, ``graph`` or ``draft``
    metric: float | None = None  # the task's metric on the rows of :class:`PerStageMetrics`
    #: the metric of the row before, of the same tier, minus this one's: what the stage lost
    drop: float | None = None
    agreement: float | None = None  # share of rows with the baseline's answer
    flips: int | None = None  # number of rows without it
    #: see :func:`edgeroberta.metrics.calibration_error`; None for a regression
    calibration_error: float | None = None
    #: of the checkpoint; of a graph, of that it was written from; of several models, of all together
    parameters: int | None = None
    bytes: int | None = None  # size on disk of the weights or the graph, and of ``tokenizer.json``
    engine: str | None = None  # what ran it, with its version
    p50_ms: float | None = None  # median of the fixed latency measurement, in milliseconds per text
    speed_up: float | None = None  # how many times faster than the baseline row it is, both timed in turns
    noisy: bool = False  # the turns' ratios lie more than 10 % apart: ``speed_up`` is rough
    error: str | None = None  # why it was not measured; None when it was
    tier: str | None = None  # the tier of a cascade that the stage made; None for the run's own

    @property
    def name(self) -> str:
        """The stage, and the tier that it made."""
        return self.stage if self.tier is None else f"{self.tier}: {self.stage}"


#: Name of the first row.
BASELINE = "baseline"


@dataclass(frozen=True)
class PerStageMetrics:
    """All models of a run, the baseline first, and what they were measured on."""

    metric: str  # name of the task's metric
    measured: int  # Held-out rows that every model answered
    available: int  # Held-out rows there are; where they are more, ``measured`` of them were drawn
    calls: int  # single texts that each model was timed on at most, on one thread
    rows: tuple[StageRow, ...] = ()  # one for each model
    missing: str | None = None  # why there are no rows; None when there are

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PerStageMetrics:
        """Read back what ``dataclasses.asdict`` made; TypeError where a field is missing or unknown."""
        return cls(**{**fields, "rows": tuple(StageRow(**row) for row in fields["rows"])})
