"""Runs bundles on a device, with nothing but numpy, ``tokenizers`` and an engine.

::

    from edgeroberta.runtime import Runtime

    runtime = Runtime.open("out/")
    runtime("great film")  # Prediction(label='positive', score=0.98, …)
    runtime(["great film", "a waste of time"])  # a list of predictions
"""

from __future__ import annotations

from edgeroberta.errors import BundleError, EdgeRobertaError, EngineError, UnavailableError, UsageError
from edgeroberta.runtime.core import Runtime
from edgeroberta.tasks import (
    Answer,
    Embedding,
    Entity,
    FilledToken,
    MaskPrediction,
    Prediction,
    Problem,
    Similarity,
    SpanPrediction,
    TokenPrediction,
)

__all__ = [
    "Answer",
    "BundleError",
    "EdgeRobertaError",
    "Embedding",
    "EngineError",
    "Entity",
    "FilledToken",
    "MaskPrediction",
    "Prediction",
    "Problem",
    "Runtime",
    "Similarity",
    "SpanPrediction",
    "TokenPrediction",
    "UnavailableError",
    "UsageError",
]
