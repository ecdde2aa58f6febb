"""Task metrics, agreement of two models, and how sure a difference is."""

from __future__ import annotations

from edgeroberta.metrics.agreement import agreement, agrees
from edgeroberta.metrics.intervals import (
    SAMPLES,
    BootstrapOptions,
    Interval,
    agreement_interval,
    drop_interval,
    lead_interval,
    rows_to_decide,
)
from edgeroberta.metrics.scores import Given, all_metrics, calibration_error, fits, score

__all__ = [
    "SAMPLES",
    "BootstrapOptions",
    "Given",
    "Interval",
    "agreement",
    "agreement_interval",
    "agrees",
    "all_metrics",
    "calibration_error",
    "drop_interval",
    "fits",
    "lead_interval",
    "rows_to_decide",
    "score",
]
