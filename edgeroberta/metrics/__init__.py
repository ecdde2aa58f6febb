"""Task metrics, agreement of two models, and how sure a difference is."""

from __future__ import annotations

from edgeroberta.metrics.agreement import agreement, agrees
from edgeroberta.metrics.intervals import (
    SAMPLES,
    BootstrapOptions,
    Interval,
    agreement_interval,
    drop_interval,
    drop_of_answers,
    drop_of_compared,
    largest_drop,
    lead_interval,
    rows_to_decide,
    share_interval,
)
from edgeroberta.metrics.reliability import Reliability, reliability
from edgeroberta.metrics.scores import (
    Given,
    all_metrics,
    calibration_error,
    checked,
    fits,
    measured,
    named,
    of_answers,
    score,
    value_of,
)

__all__ = [
    "SAMPLES",
    "BootstrapOptions",
    "Given",
    "Interval",
    "Reliability",
    "agreement",
    "agreement_interval",
    "agrees",
    "all_metrics",
    "calibration_error",
    "checked",
    "drop_interval",
    "drop_of_answers",
    "drop_of_compared",
    "fits",
    "largest_drop",
    "lead_interval",
    "measured",
    "named",
    "of_answers",
    "reliability",
    "rows_to_decide",
    "score",
    "share_interval",
    "value_of",
]
