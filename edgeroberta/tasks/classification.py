"""Texts as a whole: one label of many, or any number of labels; what they share with a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError
from edgeroberta.tasks import statistics
from edgeroberta.tasks.confidence import Calibration, top_probability, top_probability_of_one
from edgeroberta.tasks.crosstab import OUTCOMES, Crosstab
from edgeroberta.tasks.kind import Array, Floats, Labelled, Metric
from edgeroberta.tasks.outputs import Indices, Outputs
from edgeroberta.tasks.problem import Unit

#: Labels that are taken for each other, where there are more: pairs of all 1,000 would be a million rows.
MOST_LABELS = 40
#: Labels that are named.
_SHOWN = 6

Recalls = tuple[tuple[str, ...], Callable[[Array, Array], Floats]]


@dataclass(frozen=True)
class Prediction:
    """The answer for one text or pair.

    Attributes:
        label: The most probable label; None for a regression, and where no label of several applies.
        score: Probability of the most probable label (softmax, or sigmoid where several labels can
            apply), or the value of a regression.
        scores: The same for every label, in the order of the logits.
        labels: All labels that apply: the one label, those above one half, or none for a regression.
        truncated: True when the text was longer than the model takes and its end was not read.
        windows: Parts that the text was read in; more than one for a long text read in windows.
        tier: Name of the cascade's tier that answered; None of a bundle of one model.
    """

    label: str | None
    score: float
    scores: Mapping[str, float]
    labels: tuple[str, ...]
    truncated: bool
    windows: int = 1
    tier: str | None = None


class WholeText:
    """What the kinds have in common whose unit is the text."""

    optimum_task = "text-classification"
    head = "sequence-classification"
    unit = Unit.TEXT

    def truth(self, task: Labelled, labels: Any) -> Array:
        """Labels have the form of answers, but for zeros and ones."""
        return np.asarray(labels)

    def comparable(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return all of them: logits."""
        return values

    def details(self, task: Labelled, answers: Array, truth: Array) -> dict[str, float]:
        """Return nothing; the metrics say it all."""
        return {}

    def constant(self, task: Labelled, truth: Array) -> tuple[npt.NDArray[np.float32], str] | None:
        """Return nothing; labels have one."""
        return None

    def recall(self, task: Labelled) -> Recalls | None:
        """Return nothing; labels have a recall where there are labels."""
        return None

    def crosstab(self, task: Labelled, answers: Array, truth: Array) -> Crosstab | None:
        """Return nothing; labels have one."""
        return None

    def numbers(self, task: Labelled, answers: Array, truth: Array) -> tuple[str, Floats] | None:
        """Return nothing; labels say it all."""
        return None

    def merge(self, task: Labelled, windows: Outputs, overlap: int) -> Outputs:
        """Take the mean of the logits."""
        mean = windows.values.mean(axis=0, dtype=np.float64, keepdims=True)
        return Outputs.of_texts(mean.astype(np.float32))

    def interpret(
        self,
        task: Labelled,
        values: npt.NDArray[np.float32],
        places: Indices | None,
        text: Any,
        *,
        truncated: bool,
    ) -> Prediction:
        """Read the one row of logits, float32 [1, L]."""
        # Plain floats: for a handful of labels numpy's call overhead is several times the arithmetic.
        row = values[0].tolist()
        if not all(map(math.isfinite, row)):
            raise EngineError(
                f"the engine answered with a number that is not finite: {row}", hint="edgeroberta doctor"
            )
        return self._predicted(task, row, truncated)

    def text_confidence(
        self, task: Labelled, values: Array, places: Indices | None, calibration: Calibration
    ) -> float:
        """Rate the one row of logits, float32 [1, L], in plain floats."""
        return self._sure(values[0].tolist(), calibration)

    def _sure(self, row: list[float], calibration: Calibration) -> float:
        raise NotImplementedError

    def _predicted(self, task: Labelled, row: list[float], truncated: bool) -> Prediction:
        raise NotImplementedError


class SingleLabel(WholeText):
    """One label of many; answers are int64[n]."""

    default_metric = "accuracy"

    def __init__(self) -> None:
        self.metrics: Mapping[str, Metric] = {
            "accuracy": Metric(lambda said, truth, _: statistics.right(said == truth), statistics.share),
            "f1": Metric(_of_second, statistics.f1_of_sums, labels=2),
            "macro_f1": Metric(_one_hot, statistics.macro),
            "matthews": Metric(_one_hot, statistics.matthews),
        }

    def decide(self, task: Labelled, outputs: Outputs) -> Array:
        """Return the id of the largest logit, int64[n]."""
        return np.argmax(outputs.values, axis=1).astype(np.int64)

    def agrees(self, task: Labelled, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
        """Tell where it is the same label."""
        return np.asarray(reference == other)

    def lost(self, task: Labelled, good: Array, truth: Array) -> tuple[Array, Array, Array]:
        """Take every label for every other.

        Of many labels the rarest and the most frequent ones, since what a row weighs in any of the metrics
        rises or falls with how frequent its labels are.
        """
        known = np.unique(truth[good == truth])
        known = known if len(known) else np.unique(truth)
        frequency = np.bincount(truth, minlength=task.num_outputs)
        pairs = (_ends(each, frequency) for each in (known, np.arange(task.num_outputs)))
        right, wrong = (each.ravel() for each in np.meshgrid(*pairs, indexing="ij"))
        different = right != wrong
        return right[different], wrong[different], right[different]

    def recall(self, task: Labelled) -> Recalls:
        """Count hits and wanted of each label."""
        names = np.arange(task.num_outputs)
        return task.labels, lambda said, truth: _hits(said[:, None] == names, truth[:, None] == names)

    def crosstab(self, task: Labelled, answers: Array, truth: Array) -> Crosstab:
        """Count the confusion matrix."""
        return Crosstab.of_pairs(task.labels, zip(truth.tolist(), answers.tolist(), strict=True))

    def indicators(self, task: Labelled, answers: Array, truth: Array) -> tuple[Floats, Floats]:
        """Return one-hot rows."""
        one = np.eye(task.num_outputs)
        return one[answers], one[np.asarray(truth, dtype=np.int64)]

    def constant(self, task: Labelled, truth: Array) -> tuple[npt.NDArray[np.float32], str]:
        """Take the most frequent label."""
        best = int(np.argmax(np.bincount(np.asarray(truth, dtype=np.int64), minlength=task.num_outputs)))
        return np.eye(task.num_outputs, dtype=np.float32)[best], repr(task.labels[best])

    def sureness(self, task: Labelled, full: Outputs, compressed: Outputs) -> Floats:
        """Return the distance between the two largest logits of the baseline."""
        ordered = np.sort(full.values, axis=1)
        return ordered[:, -1] - ordered[:, -2]

    def confidence(self, task: Labelled, outputs: Outputs, calibration: Calibration) -> Floats | None:
        """Return the probability of the most probable label."""
        return top_probability(outputs.values, calibration.temperature)

    def _sure(self, row: list[float], calibration: Calibration) -> float:
        return top_probability_of_one(row, calibration.temperature)

    def named(self, task: Labelled, answer: Any, text: Any = None) -> str:
        """Return the label."""
        return task.labels[int(answer)]

    def _predicted(self, task: Labelled, row: list[float], truncated: bool) -> Prediction:
        top = max(row)
        powers = [math.exp(value - top) for value in row]
        total = sum(powers)
        scores = {label: power / total for label, power in zip(task.labels, powers, strict=True)}
        best = task.labels[row.index(top)]
        return Prediction(best, scores[best], scores, (best,), truncated)


class MultiLabel(WholeText):
    """Any number of labels; answers are bool[n, L], above one half."""

    default_metric = "micro_f1"

    def __init__(self) -> None:
        self.metrics: Mapping[str, Metric] = {
            "micro_f1": Metric(_together, statistics.f1_of_sums),
            "macro_f1": Metric(lambda said, truth, _: statistics.by_label(said, truth), statistics.macro),
            "subset_accuracy": Metric(
                lambda said, truth, _: statistics.right((said == truth).all(axis=1)), statistics.share
            ),
        }

    def decide(self, task: Labelled, outputs: Outputs) -> Array:
        """Return bool[n, L], where a probability is above one half."""
        return np.asarray(outputs.values > 0)  # sigmoid(x) > 0.5 exactly when x > 0

    def truth(self, task: Labelled, labels: Any) -> Array:
        """Read float[n, L] zeros and ones as bool."""
        return np.asarray(labels) > 0.5

    def agrees(self, task: Labelled, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
        """Tell where it is the same set of labels."""
        return np.asarray((reference == other).all(axis=1))

    def lost(self, task: Labelled, good: Array, truth: Array) -> tuple[Array, Array, Array]:
        """Take each row that has a label right without any found."""
        kept = (good & truth).any(axis=1)
        kept = kept if kept.any() else np.ones(len(good), dtype=bool)
        return good[kept], np.zeros_like(good[kept]), truth[kept]

    def recall(self, task: Labelled) -> Recalls:
        """Count hits and wanted of each label."""
        return task.labels, _hits

    def crosstab(self, task: Labelled, answers: Array, truth: Array) -> Crosstab:
        """Count of each label where it was found, missed and wrongly said."""
        counts = [each.sum(axis=0) for each in (answers & truth, ~answers & truth, answers & ~truth)]
        return Crosstab(task.labels, OUTCOMES, np.stack(counts, axis=1).astype(np.int64))

    def indicators(self, task: Labelled, answers: Array, truth: Array) -> tuple[Floats, Floats]:
        """Return zeros and ones as they are."""
        return answers.astype(np.float64), truth.astype(np.float64)

    def constant(self, task: Labelled, truth: Array) -> tuple[npt.NDArray[np.float32], str]:
        """Take those of the most frequent labels that give the best F1."""
        share = truth.mean(axis=0)
        order = np.argsort(-share, kind="stable")
        # F1 of the k most frequent labels: twice their hits over the k said and all that are true.
        scores = 2 * np.cumsum(share[order]) / (np.arange(1, len(share) + 1) + share.sum())
        chosen = order[: int(np.argmax(scores)) + 1]
        logits = np.full(len(share), -1, dtype=np.float32)
        logits[chosen] = 1
        return logits, " and ".join(repr(task.labels[i]) for i in sorted(chosen)[:_SHOWN])

    def sureness(self, task: Labelled, full: Outputs, compressed: Outputs) -> Floats:
        """Return how far the least sure label of the baseline is from one half."""
        return np.abs(full.values).min(axis=1)

    def confidence(self, task: Labelled, outputs: Outputs, calibration: Calibration) -> Floats | None:
        """Return the probability that the least certain label is as it is said to be."""
        farthest = np.abs(outputs.values.astype(np.float64)).min(axis=1)
        return np.asarray(1 / (1 + np.exp(-farthest / calibration.temperature)))

    def _sure(self, row: list[float], calibration: Calibration) -> float:
        return _sigmoid(min(map(abs, row)) / calibration.temperature)

    def named(self, task: Labelled, answer: Any, text: Any = None) -> str:
        """Return the labels, or ``none``."""
        chosen = [label for label, on in zip(task.labels, answer, strict=True) if on]
        return ", ".join(chosen) or "none"

    def _predicted(self, task: Labelled, row: list[float], truncated: bool) -> Prediction:
        scores = {label: _sigmoid(value) for label, value in zip(task.labels, row, strict=True)}
        labels = tuple(label for label, value in zip(task.labels, row, strict=True) if value > 0)
        best = max(scores, key=scores.__getitem__)
        return Prediction(best if labels else None, scores[best], scores, labels, truncated)


def _ends(labels: Array, frequency: Array) -> Array:
    """Return the rarest and the most frequent of labels, :data:`MOST_LABELS` at most."""
    if len(labels) <= MOST_LABELS:
        return labels
    order = labels[np.argsort(frequency[labels], kind="stable")]
    return np.concatenate([order[: MOST_LABELS // 2], order[-MOST_LABELS // 2 :]])


def _one_hot(said: Array, truth: Array, task: Labelled) -> Floats:
    names = np.arange(task.num_outputs)
    return statistics.by_label(said[:, None] == names, truth[:, None] == names)


def _of_second(said: Array, truth: Array, _: Labelled) -> Floats:
    """Return hits, found and wanted of the second of two labels, the positive one as in scikit-learn."""
    return statistics.by_label(said[:, None] == 1, truth[:, None] == 1)


def _together(said: Array, truth: Array, _: Labelled) -> Floats:
    """Return hits, found and wanted over all labels."""
    return np.stack([each.sum(axis=1) for each in (said & truth, said, truth)], axis=1).astype(np.float64)


def _hits(said: Array, truth: Array) -> Floats:
    return np.hstack([said & truth, truth]).astype(np.float64)


def _sigmoid(value: float) -> float:
    # The two forms are equal; each avoids the overflow of exp on its side.
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    power = math.exp(value)
    return power / (1 + power)
