"""What a model answers, one module a kind of task: how outputs are read, compared and judged.

Standard library and numpy only, so that the device may use it too. :mod:`.kind` says what a kind is,
:mod:`.task` has the table of them, :mod:`.outputs` the one form of all that a model gives.
"""

from __future__ import annotations

from edgeroberta.tasks.classification import Prediction
from edgeroberta.tasks.confidence import Calibration
from edgeroberta.tasks.config import labels
from edgeroberta.tasks.embeddings import Embedding, Similarity
from edgeroberta.tasks.entities import AGGREGATIONS, Entity, TokenPrediction
from edgeroberta.tasks.kind import Comparable, Metric, TaskKind, all_of_them
from edgeroberta.tasks.masked import FilledToken, MaskPrediction
from edgeroberta.tasks.outputs import AnswerSpans, MaskedTokens, Outputs, Ragged, WordTags, as_outputs
from edgeroberta.tasks.pooling import POOLINGS, SentenceEmbedding
from edgeroberta.tasks.problem import Problem, Unit, Word
from edgeroberta.tasks.schemes import Scheme
from edgeroberta.tasks.span_reading import Answer, SpanPrediction
from edgeroberta.tasks.task import KINDS, SYNONYMS, TASKS, Task, asked

__all__ = [
    "AGGREGATIONS",
    "KINDS",
    "POOLINGS",
    "SYNONYMS",
    "TASKS",
    "Answer",
    "AnswerSpans",
    "Calibration",
    "Comparable",
    "Embedding",
    "Entity",
    "FilledToken",
    "MaskPrediction",
    "MaskedTokens",
    "Metric",
    "Outputs",
    "Prediction",
    "Problem",
    "Ragged",
    "Scheme",
    "SentenceEmbedding",
    "Similarity",
    "SpanPrediction",
    "Task",
    "TaskKind",
    "TokenPrediction",
    "Unit",
    "Word",
    "WordTags",
    "all_of_them",
    "as_outputs",
    "asked",
    "labels",
]
