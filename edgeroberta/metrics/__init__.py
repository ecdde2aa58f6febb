"""Task metrics, agreement of two models, and how sure a difference is."""

from __future__ import annotations

from edgeroberta.metrics.agreement import agreement, agrees, tolerance
from edgeroberta.metrics.intervals import (
    SAMPLES,
    BootstrapOptions,
    Interval,
    agreement_interval,
    drop_interval,
    lead_interval,
    rows_to_decide,
)
from edgeroberta.metrics.scores import METRICS, all_metrics, calibration_error, score

__all__ = [
    "METRICS",
    "SAMPLES",
    "BootstrapOptions",
    "Interval",
    "agreement",
    "agreement_interval",
    "agrees",
    "all_metrics",
    "calibration_error",
    "drop_interval",
    "lead_interval",
    "rows_to_decide",
    "score",
    "tolerance",
]
