"""Texts as vectors: one embedding for each text, and how alike two texts are by theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError
from edgeroberta.tasks import retrieval, statistics
from edgeroberta.tasks.confidence import Calibration, of_one
from edgeroberta.tasks.crosstab import Crosstab
from edgeroberta.tasks.kind import Array, Floats, Labelled, Metric
from edgeroberta.tasks.outputs import Indices, Outputs
from edgeroberta.tasks.problem import Unit
from edgeroberta.tasks.similarity import cosines, pairwise

#: Two embeddings agree when their cosine is at least this, the angle between them below 11.5 degrees.
AGREEMENT = 0.98
#: Passages that are looked at for ``recall@k`` and ``mrr@10``.
_AT = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a model makes of one text.

    Attributes:
        embedding: Float32 [dimensions].
        truncated: True when the text was longer than the model takes and its end was not read.
        windows: Always 1: an embedding is of a text as a whole.
    """

    embedding: npt.NDArray[np.float32]
    truncated: bool
    windows: int = 1


@dataclass(frozen=True, eq=False)
class Similarity:
    """What a model makes of a pair of texts.

    Attributes:
        similarity: How alike they are: the cosine of their embeddings, or what the model was made for, see
            :data:`edgeroberta.tasks.similarity.SIMILARITIES`.
        embeddings: Float32 [dimensions] of each.
        truncated: True when one of them was longer than the model takes and its end was not read.
        windows: Always 1: an embedding is of a text as a whole.
    """

    similarity: float
    embeddings: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
    truncated: bool
    windows: int = 1


class Embeddings:
    """A vector for each text; answers are float32[n, units, dimensions], two units where an input is a pair.

    The truth of a pair is how alike its texts are, float[n], or, of a query and a passage that answers it,
    their ids int64[n, 2]; the passages of all rows together are then what is searched.
    """

    optimum_task = "sentence-similarity"
    head = "sentence-embedding"
    unit = Unit.TEXT
    default_metric = "spearman"

    def __init__(self) -> None:
        scored: dict[str, Any] = {"correlation": True, "truth": "f", "read": _similarities}
        self.metrics: Mapping[str, Metric] = {
            "spearman": Metric(_moments, statistics.pearson, ranked=True, **scored),
            "pearson": Metric(_moments, statistics.pearson, **scored),
            **{f"recall@{k}": _searched(partial(_within, k)) for k in _AT},
            "mrr@10": _searched(lambda ranks: np.where(ranks <= 10, 1 / ranks, 0.0)),
        }

    def decide(self, task: Labelled, outputs: Outputs) -> Array:
        """Return the embeddings of each input, those of single texts among pairs followed by zeros."""
        lengths = outputs.lengths
        units = int(lengths.max(initial=1))
        if (lengths == units).all():
            return outputs.values.reshape(len(outputs), units, outputs.values.shape[1])
        found = np.zeros((len(outputs), units, outputs.values.shape[1]), outputs.values.dtype)
        found[outputs.texts, np.arange(len(outputs.values)) - outputs.offsets[outputs.texts]] = outputs.values
        return found

    def truth(self, task: Labelled, labels: Any) -> Array:
        """Return how alike the texts are, or the ids of passages, as they are."""
        return np.asarray(labels)

    def agrees(self, task: Labelled, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
        """Tell where all embeddings of an input have the task's cosine or more, else :data:`AGREEMENT`."""
        least = AGREEMENT if task.min_cosine is None else task.min_cosine
        return np.asarray((cosines(reference, other) >= least).all(axis=1))

    def comparable(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return embeddings of one length, 1 a dimension: what is compared of them is where they point."""
        lengths = np.linalg.norm(values, axis=-1, keepdims=True) / np.sqrt(max(1, values.shape[-1]))
        return np.asarray(values / np.maximum(lengths, 1e-12), np.float32)

    def lost(self, task: Labelled, good: Array, truth: Array) -> tuple[Array, Array, Array]:
        """Take the mean in place of a similarity, and no passage in place of one that was found."""
        if truth.dtype.kind == "f":
            return good, np.full(len(good), np.mean(good, dtype=np.float64)), truth
        return np.ones(len(good)), np.zeros(len(good)), truth

    def details(self, task: Labelled, answers: Array, truth: Array) -> dict[str, float]:
        """Return nothing; the metrics say it all."""
        return {}

    def recall(self, task: Labelled) -> None:
        """Return nothing; there are no labels."""

    def crosstab(self, task: Labelled, answers: Array, truth: Array) -> Crosstab | None:
        """Return nothing; there are no labels."""
        return None

    def numbers(self, task: Labelled, answers: Array, truth: Array) -> tuple[str, Floats] | None:
        """Return how alike the two texts of each pair are; nothing where there is one text."""
        if answers.shape[1] < 2:
            return None
        return "similarity of the texts", np.asarray(_similarities(answers, truth, task), np.float64)

    def indicators(self, task: Labelled, answers: Array, truth: Array) -> tuple[Floats, Floats]:
        """Return ranks of similarities: beside the true ones, or with the right passage and with another."""
        if truth.dtype.kind == "f":
            return (
                statistics.ranks(_similarities(answers, truth, task))[:, None],
                statistics.ranks(truth)[:, None],
            )
        own = pairwise(task.similarity, answers[:, 0], answers[:, -1])
        other = pairwise(task.similarity, answers[:, 0], np.roll(answers[:, -1], 1, axis=0))
        said = statistics.ranks(np.concatenate([own, other]))
        return said[:, None], np.repeat([1.0, 0.0], len(own))[:, None]

    def constant(self, task: Labelled, truth: Array) -> tuple[npt.NDArray[np.float32], str] | None:
        """Return nothing; texts with one embedding are all equally alike."""
        return None

    def sureness(self, task: Labelled, full: Outputs, compressed: Outputs) -> Floats:
        """Return how far apart the farther of the embeddings are, one less their cosine."""
        found = cosines(self.decide(task, full), self.decide(task, compressed))
        return np.asarray(1 - found.min(axis=1), np.float64)

    def confidence(self, task: Labelled, outputs: Outputs, calibration: Calibration) -> Floats | None:
        """Return nothing: the spaces of two models have nothing to do with each other."""
        return None

    def text_confidence(
        self, task: Labelled, values: Array, places: Indices | None, calibration: Calibration
    ) -> float:
        """Raise ValueError: embeddings have none."""
        return of_one(None)

    def named(self, task: Labelled, answer: Any, text: Any = None) -> str:
        """Write how alike a pair is with three digits; of a single text how many dimensions there are."""
        found = np.asarray(answer)
        if found.ndim < 2:  # of the truth
            return f"{float(found):.3g}" if found.dtype.kind == "f" else f"passage {int(found.flat[-1])}"
        if len(found) == 1:
            return f"{found.shape[1]} dimensions"
        return f"{float(pairwise(task.similarity, found[:1], found[1:])[0]):.3g}"

    def merge(self, task: Labelled, windows: Outputs, overlap: int) -> Outputs:
        """Put the embeddings of the two texts of a pair into one entry."""
        return Outputs(windows.values, np.array([0, len(windows.values)], np.int64))

    def interpret(
        self,
        task: Labelled,
        values: npt.NDArray[np.float32],
        places: Indices | None,
        text: Any,
        *,
        truncated: bool,
    ) -> Embedding | Similarity:
        """Read embeddings, float32 [1, dimensions] of a text and [2, dimensions] of a pair."""
        if not np.isfinite(values).all():
            raise EngineError(
                "the engine answered with a number that is not finite", hint="edgeroberta doctor"
            )
        if isinstance(text, str):
            return Embedding(values[0], truncated)
        alike = float(pairwise(task.similarity, values[:1], values[1:])[0])
        return Similarity(alike, (values[0], values[1]), truncated)


def _similarities(answers: Array, truth: Array, task: Labelled) -> Floats:
    """Return how alike the texts of pairs are, float64[n]."""
    return pairwise(task.similarity, answers[:, 0], answers[:, -1])


def _moments(said: Array, truth: Array, _: Labelled) -> Floats:
    return statistics.moments(said, truth)


def _within(k: int, ranks: Floats) -> Array:
    return np.asarray(ranks <= k)


def _searched(worth: Callable[[Floats], Array]) -> Metric:
    """Make a metric that is the mean worth of the rank at which the right passage is found."""

    def read(answers: Array, truth: Array, task: Labelled) -> Floats:
        found = retrieval.ranks(task.similarity, answers[:, 0], answers[:, -1], truth)
        return np.asarray(worth(found), np.float64)

    def counted(said: Array, truth: Array, _: Labelled) -> Floats:
        return np.stack([said, np.ones(len(said))], axis=1).astype(np.float64)

    return Metric(counted, statistics.share, truth="i", read=read)
