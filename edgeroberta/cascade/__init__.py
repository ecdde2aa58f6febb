"""Cascades: which tier answers a text, chosen so that the agreement with the last one is sure.

Numpy only. :mod:`.calibration` makes a confidence of outputs, :mod:`.path` orders thresholds by rows that the
models were not trained on, and :mod:`.choosing` asks rows that nothing has seen how far along that path the
promise is kept.
"""

from __future__ import annotations

from edgeroberta.cascade.calibration import fit
from edgeroberta.cascade.choosing import choose
from edgeroberta.cascade.elsewhere import measure
from edgeroberta.cascade.evidence import TierEvidence, possible, with_tolerance
from edgeroberta.cascade.prediction import agreeing_share
from edgeroberta.cascade.result import CascadeChoice, FrontPoint, ReliabilityBin, TierChoice
from edgeroberta.metrics.binomial import rows_needed

__all__ = [
    "CascadeChoice",
    "FrontPoint",
    "ReliabilityBin",
    "TierChoice",
    "TierEvidence",
    "agreeing_share",
    "choose",
    "fit",
    "measure",
    "possible",
    "rows_needed",
    "with_tolerance",
]
