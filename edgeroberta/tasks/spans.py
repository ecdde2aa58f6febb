"""Spans: the answer to a question, a part of the context that it is asked of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks import statistics
from edgeroberta.tasks.confidence import Calibration
from edgeroberta.tasks.crosstab import Crosstab
from edgeroberta.tasks.kind import Array, Floats, Labelled, Metric
from edgeroberta.tasks.outputs import AnswerSpans, Indices, Outputs
from edgeroberta.tasks.problem import Unit
from edgeroberta.tasks.span_reading import SpanPrediction, found, read
from edgeroberta.tasks.span_scores import cmrc, squad

#: Names of the outputs of a token: logits of being the first of the answer, and the last.
SIDES = ("start", "end")
#: Questions with an answer in their context, and without, as SQuAD 2.0's script calls them.
ANSWERABLE = ("HasAns", "NoAns")
#: Right answers that are written out.
_SHOWN = 3

#: First character of an answer in its context, and the one after its last; None for no answer.
Span = tuple[int, int]
#: F1 and exact match of an answer and the right ones.
Scores = Callable[[str, Sequence[str]], tuple[float, float]]


@dataclass(frozen=True)
class KnownAnswers:
    """What is right to answer to one question."""

    context: str
    spans: tuple[Span, ...]  # none where there is no answer

    @property
    def texts(self) -> list[str]:
        """The right answers."""
        return [self.context[start:end] for start, end in self.spans]

    def said(self, answer: Span | None) -> str:
        """Return an answer's text; nothing for none."""
        return "" if answer is None else self.context[answer[0] : answer[1]]


class AnswersInContext:
    """A span per question; answers are object[n] of :data:`Span` or None, the truth is of `KnownAnswers`.

    F1 is the mean over questions of that of the words of an answer, and exact match their share that is
    right word by word, each to the nearest of the right answers; see :mod:`edgeroberta.tasks.span_scores`.
    """

    optimum_task = "question-answering"
    head = "question-answering"
    unit = Unit.TOKEN
    default_metric = "f1"

    def __init__(self) -> None:
        self.metrics: Mapping[str, Metric] = {
            "f1": Metric(partial(_scored, squad, 0), statistics.share),
            "exact_match": Metric(partial(_scored, squad, 1), statistics.share),
            "cmrc_f1": Metric(partial(_scored, cmrc, 0), statistics.share),
            "cmrc_exact_match": Metric(partial(_scored, cmrc, 1), statistics.share),
        }

    def decide(self, task: Labelled, outputs: Outputs) -> Array:
        """Take the best span of each context, or none; outputs of one row per question say none."""
        answers: list[Span | None] = []
        for row in range(len(outputs)):
            values, places = outputs.part(row)
            best = None if outputs.per_text else found(task, values, places).answer(task.no_answer)
            answers.append(None if best is None else (best.start, best.end))
        return _objects(answers)

    def truth(self, task: Labelled, labels: AnswerSpans) -> Array:
        """Read the right answers to each question."""
        spans = (labels.part(row)[0].tolist() for row in range(len(labels)))
        pairs = zip(labels.contexts, spans, strict=True)
        return _objects([KnownAnswers(context, tuple((a, b) for a, b in each)) for context, each in pairs])

    def agrees(self, task: Labelled, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
        """Tell where it is the same characters."""
        pairs = zip(reference, other, strict=True)
        return np.fromiter((a == b for a, b in pairs), np.bool_, len(reference))

    def comparable(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return all of them: logits."""
        return values

    def lost(self, task: Labelled, good: Array, truth: Array) -> tuple[Array, Array, Array]:
        """Take each question of which something is right, without an answer; or with one where none is."""
        kept = np.fromiter(
            (max(squad(said, texts)[0], cmrc(said, texts)[0]) > 0 for said, texts in _texts(good, truth)),
            np.bool_,
            len(good),
        )
        kept = kept if kept.any() else np.ones(len(good), np.bool_)
        wrong = [None if known.spans else (0, len(known.context)) for known in truth[kept]]
        return good[kept], _objects(wrong), truth[kept]

    def details(self, task: Labelled, answers: Array, truth: Array) -> dict[str, float]:
        """Return F1 and exact match of questions with an answer, and without, where there are both."""
        has = _answerable(truth)
        if has.all() or not has.any():
            return {}
        start = "cmrc_" if task.metric.startswith("cmrc_") else ""
        return {
            f"{name}[{kind}]": float(_mean(self.metrics[name], answers[chosen], truth[chosen], task))
            for kind, chosen in zip(ANSWERABLE, (has, ~has), strict=True)
            for name in (f"{start}f1", f"{start}exact_match")
        }

    def recall(self, task: Labelled) -> tuple[tuple[str, ...], Callable[[Array, Array], Floats]] | None:
        """Count questions that were rightly answered at all, and rightly not, where that can be."""
        if task.no_answer is None:
            return None

        def counts(answers: Array, truth: Array) -> Floats:
            given = np.fromiter((each is not None for each in answers), np.bool_, len(answers))
            has = _answerable(truth)
            return np.stack([given & has, ~given & ~has, has, ~has], axis=1).astype(np.float64)

        return ANSWERABLE, counts

    def crosstab(self, task: Labelled, answers: Array, truth: Array) -> Crosstab | None:
        """Return nothing; answers are no labels."""
        return None

    def numbers(self, task: Labelled, answers: Array, truth: Array) -> tuple[str, Floats]:
        """Return F1 of each answer, of its characters where that is what models are judged by."""
        name = "cmrc_f1" if task.metric.startswith("cmrc_") else "f1"
        return f"{name} of the answer", self.metrics[name].statistics(answers, truth, task)[:, 0]

    def indicators(self, task: Labelled, answers: Array, truth: Array) -> tuple[Floats, Floats]:
        """Lay each answer beside the right one, and beside where that of the question before it would be.

        In a context of another length that is at the same share of it, since answers are nearer to the
        beginning than to the end.
        """
        said, known = [], []
        for row, (answer, true) in enumerate(zip(answers, truth, strict=True)):
            before = truth[row - 1]
            said += [_overlap(answer, true.spans), _overlap(answer, _moved(before, true))]
            known += [1.0, 0.0]
        return np.array(said).reshape(-1, 1), np.array(known).reshape(-1, 1)

    def constant(self, task: Labelled, truth: Array) -> tuple[npt.NDArray[np.float32], str] | None:
        """Take no answer where that is right for some question; see :meth:`decide`."""
        return None if _answerable(truth).all() else (np.zeros(len(SIDES), np.float32), "nothing")

    def sureness(self, task: Labelled, full: Outputs, compressed: Outputs) -> Floats:
        """Return the score of the baseline's answer."""
        scores = []
        for row in range(len(full)):
            spans = found(task, *full.part(row))
            best = spans.answer(task.no_answer)
            scores.append(spans.no_answer if best is None else best.score)
        return np.array(scores, np.float64)

    def confidence(self, task: Labelled, outputs: Outputs, calibration: Calibration) -> Floats | None:
        """Return how far the scores of the best two answers are apart, no answer being one of them."""
        rows = (self.text_confidence(task, *outputs.part(row), calibration) for row in range(len(outputs)))
        return np.fromiter(rows, np.float64, len(outputs))

    def text_confidence(
        self, task: Labelled, values: Array, places: Indices | None, calibration: Calibration
    ) -> float:
        """Rate the spans of one context, float32 [tokens, 2]."""
        # A power of the probabilities, as a temperature makes them: the order of spans stays.
        scaled = np.asarray(values / calibration.temperature, np.float32)
        spans = found(task, scaled, places, top=2)
        scores = [each.score for each in spans.spans]
        if task.no_answer is not None:
            scores.append(spans.no_answer - task.no_answer)
        second, best = sorted([0.0, 0.0, *scores])[-2:]
        return best - second

    def named(self, task: Labelled, answer: Any, text: Any = None) -> str:
        """Write ``Paris``, or ``8-13`` without the text; ``no answer`` where there is none."""
        spans = answer.spans if isinstance(answer, KnownAnswers) else [answer] if answer else []
        context = text[1] if isinstance(text, tuple) else None
        told = [f"{a}-{b}" if context is None else repr(context[a:b]) for a, b in spans]
        shown = list(dict.fromkeys(told))
        return " or ".join([*shown[:_SHOWN], *(["…"] if len(shown) > _SHOWN else [])]) or "no answer"

    def merge(self, task: Labelled, windows: Outputs, overlap: int) -> Outputs:
        """Put windows one after the other; their first tokens tell them apart."""
        return Outputs.pack([windows.values], None if windows.places is None else [windows.places])

    def interpret(
        self,
        task: Labelled,
        values: npt.NDArray[np.float32],
        places: Indices | None,
        text: Any,
        *,
        truncated: bool,
    ) -> SpanPrediction:
        """Read the answer from logits float32 [tokens, 2]; ``text`` is the question and its context."""
        return read(values, places, text[1], task, truncated=truncated)


def _objects(each: Sequence[Any]) -> Array:
    """Make an array of things that numpy would take apart."""
    made = np.empty(len(each), object)
    for row, one in enumerate(each):
        made[row] = one
    return made


def _texts(answers: Array, truth: Array) -> list[tuple[str, list[str]]]:
    return [(known.said(answer), known.texts) for answer, known in zip(answers, truth, strict=True)]


def _scored(scores: Scores, which: int, answers: Array, truth: Array, _: Labelled) -> Floats:
    """Return a score of each answer, and one, float64[n, 2]."""
    told = [(scores(said, known)[which], 1.0) for said, known in _texts(answers, truth)]
    return np.array(told, np.float64).reshape(-1, 2)


def _mean(metric: Metric, answers: Array, truth: Array, task: Labelled) -> Floats:
    return metric.value(metric.statistics(answers, truth, task).sum(axis=0))


def _answerable(truth: Array) -> npt.NDArray[np.bool_]:
    return np.fromiter((bool(each.spans) for each in truth), np.bool_, len(truth))


def _overlap(answer: Span | None, spans: Sequence[Span]) -> float:
    """Return F1 of the characters of an answer and the nearest of some spans; 1 where both are none."""
    if answer is None or not spans:
        return float(answer is None and not spans)
    start, end = answer
    common = [(max(0, min(end, b) - max(start, a)), end - start + b - a) for a, b in spans]
    return max(2 * both / total for both, total in common)


def _moved(other: KnownAnswers, here: KnownAnswers) -> list[Span]:
    """Return where the answers of another question would be in this one's context."""
    if other.context == here.context:
        return [span for span in other.spans if span not in here.spans] or list(other.spans)
    starts = ((a * len(here.context) // len(other.context), b - a) for a, b in other.spans)
    return [(start, start + length) for start, length in starts]


__all__ = ["SIDES", "AnswersInContext", "KnownAnswers"]
