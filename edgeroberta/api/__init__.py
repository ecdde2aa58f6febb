"""The public functions behind ``import edgeroberta``, one module for each kind of work.

Every argument after the second is named. Paths may be ``str`` or ``Path``. What is wrong with an argument is
told by its name on the command line (``--p95`` is ``p95``). What a gate says is part of the result; only what
keeps a function from its result is raised, see :mod:`edgeroberta.errors`. Nothing heavy is imported before a
function is called.
"""

from __future__ import annotations

from edgeroberta.api.annotation import AnnotationResult, annotate, watch
from edgeroberta.api.bundles import PushResult, pull, push
from edgeroberta.api.comparison import ComparisonResult, compare
from edgeroberta.api.compression import CompressionResult, compress, preview
from edgeroberta.api.devices import (
    BuildResult,
    CheckResult,
    DoctorResult,
    build,
    check_bundle,
    doctor,
    list_recipes,
    list_targets,
)
from edgeroberta.api.evaluation import EvaluationResult, evaluate, load, reference
from edgeroberta.api.inspection import InspectionResult, inspect_bundle
from edgeroberta.api.measuring import BenchResult, LatencyResult, bench, latency_table
from edgeroberta.api.pretraining import PretrainingResult, pretrain, preview_pretraining
from edgeroberta.errors import (
    BundleError,
    CheckpointError,
    DataError,
    EdgeRobertaError,
    EngineError,
    GateError,
    RecipeError,
    UnavailableError,
    UsageError,
)
from edgeroberta.runtime import (
    Answer,
    Embedding,
    Entity,
    FilledToken,
    MaskPrediction,
    Prediction,
    Runtime,
    Similarity,
    SpanPrediction,
    TokenPrediction,
)

__all__ = [
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
