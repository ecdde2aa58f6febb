"""EdgeRoBERTa: distill, quantize, verify and run RoBERTa encoders on edge devices.

::

    import edgeroberta

    result = edgeroberta.compress("model/", "reviews.csv", output="out/")
    if result.passed:
        runtime = edgeroberta.load(result.bundle)
        runtime("great film").label

Nothing is imported before it is used: on a device this is as light as :mod:`edgeroberta.runtime`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgeroberta.version import __version__ as __version__

if TYPE_CHECKING:
    from edgeroberta.api import *  # noqa: F403


__all__ = [  # noqa: F405
    "AnnotationResult",
    "Answer",
    "BenchResult",
    "BuildResult",
    "BundleError",
    "CheckResult",
    "CheckpointError",
    "ComparisonResult",
    "CompressionResult",
    "DataError",
    "DoctorResult",
    "EdgeRobertaError",
    "Embedding",
    "EngineError",
    "Entity",
    "EvaluationResult",
    "FilledToken",
    "GateError",
    "InspectionResult",
    "LatencyResult",
    "MaskPrediction",
    "Prediction",
    "PretrainingResult",
    "PushResult",
    "RecipeError",
    "Runtime",
    "Similarity",
    "SpanPrediction",
    "TokenPrediction",
    "UnavailableError",
    "UsageError",
    "annotate",
    "bench",
    "build",
    "check_bundle",
    "compare",
    "compress",
    "doctor",
    "evaluate",
    "inspect_bundle",
    "latency_table",
    "list_recipes",
    "list_targets",
    "load",
    "pretrain",
    "preview",
    "preview_pretraining",
    "pull",
    "push",
    "reference",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("edgeroberta.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
