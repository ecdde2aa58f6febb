"""The loss ledger: what the model was worth after every stage of a run, so that it shows which lost what.

Every model that a run made is measured in one way: as an ONNX graph in ONNX Runtime, with the tokenizer
that ships, on the held-out rows. Nothing is chosen by it. :mod:`.measuring` fills it, :mod:`.store` keeps
its rows from one run to the next, :mod:`.table` lays it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One model of a run. What could not be measured is None.

    Attributes:
        stage: The stage that made it; :data:`FULL_SIZE` for the model that all others are held to.
        kind: ``checkpoint``, ``graph`` or ``draft``.
        metric: The task's metric on the rows of the ledger.
        drop: The metric of the row before minus this one's, as a fraction: what the stage lost.
        agreement: Share of rows with the full-size model's answer.
        flips: Number of rows without it.
        calibration_error: See :func:`edgeroberta.metrics.calibration_error`; None for a regression.
        parameters: Parameters of the checkpoint; of a graph, those of the checkpoint it was written from.
        bytes: Size on disk of the weights or the graph, and of ``tokenizer.json``.
        engine: What ran it, with its version.
        p50_ms: Median of the fixed latency measurement, in milliseconds per text.
        speed_up: How many times faster than the full-size row it is, both timed in turns.
        noisy: True when the turns' ratios lie more than 10 % apart, so that ``speed_up`` is a rough one.
        error: Why it was not measured; None when it was.
    """

    stage: str
    kind: str
    metric: float | None = None
    drop: float | None = None
    agreement: float | None = None
    flips: int | None = None
    calibration_error: float | None = None
    parameters: int | None = None
    bytes: int | None = None
    engine: str | None = None
    p50_ms: float | None = None
    speed_up: float | None = None
    noisy: bool = False
    error: str | None = None


#: Name of the first row.
FULL_SIZE = "full size"


@dataclass(frozen=True)
class Ledger:
    """All models of a run, the full-size model first, and what they were measured on.

    Attributes:
        metric: Name of the task's metric.
        measured: Held-out rows that every model answered.
        available: Held-out rows there are; where they are more, ``measured`` of them were drawn.
        calls: Single texts that each model was timed on at most, on one thread.
        rows: One for each model.
        missing: Why there are no rows; None when there are.
    """

    metric: str
    measured: int
    available: int
    calls: int
    rows: tuple[Row, ...] = ()
    missing: str | None = None

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Ledger:
        """Read back what ``dataclasses.asdict`` made and JSON stored.

        Raises:
            TypeError: A field is missing or unknown.
        """
        return cls(**{**fields, "rows": tuple(Row(**row) for row in fields["rows"])})
