"""What a user reads of the answers to a question."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgeroberta.errors import EngineError
from edgeroberta.tasks.kind import Labelled
from edgeroberta.tasks.outputs import Indices
from edgeroberta.tasks.span_search import LONGEST, FoundSpans, Values, search


@dataclass(frozen=True)
class Answer:
    """A part of the context that may be the answer.

    Attributes:
        text: These characters, ``context[start:end]``.
        start: Its first character in the context that was given.
        end: The character after its last.
        score: Product of the probabilities of its first and its last token, summed over windows.
    """

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class SpanPrediction:
    """The answer to one question.

    Attributes:
        answer: The best answer; None where the context has none.
        start: Its first character in the context that was given; None without an answer.
        end: The character after its last; None without an answer.
        score: Score of the best answer, or of there being none.
        answers: The best spans, as many as were asked for, the best first, whether or not one is the answer.
        no_answer: Score of there being no answer.
        truncated: True when the context was longer than the model takes and its end was not read.
        windows: Parts that the context was read in.
        tier: Name of the cascade's tier that answered; None of a bundle of one model.
    """

    answer: str | None
    start: int | None
    end: int | None
    score: float
    answers: tuple[Answer, ...]
    no_answer: float
    truncated: bool
    windows: int = 1
    tier: str | None = None


def found(
    task: Labelled, values: Values, places: Indices | None, *, top: int = 1, text: str | None = None
) -> FoundSpans:
    """Find the best spans of one context; see :func:`edgeroberta.tasks.span_search.search`.

    Raises EngineError: a number is NaN or infinite, or nobody said what the tokens stand for.
    """
    if places is None:
        raise EngineError("nobody said which characters the tokens stand for")
    # A sum is finite where all numbers are, unless these are as large as no model's.
    if not math.isfinite(values.sum()) and not np.isfinite(values).all():
        raise EngineError("the engine answered with a number that is not finite", hint="edgeroberta doctor")
    return search(values, places, longest=task.max_answer_tokens or LONGEST, top=top, text=text)


def read(
    values: Values, places: Indices | None, context: str, task: Labelled, *, truncated: bool
) -> SpanPrediction:
    """Read the answer to one question.

    ``values``: float32 [tokens, 2], of all windows. ``places``: int64 [tokens, 3]. ``context``: what the
    question was asked of. Raises EngineError as :func:`found` does.
    """
    spans = found(task, values, places, top=task.top_k or 1, text=context)
    answers = tuple(
        Answer(context[each.start : each.end], each.start, each.end, each.score) for each in spans.spans
    )
    best = spans.answer(task.no_answer)
    if best is None:
        return SpanPrediction(None, None, None, spans.no_answer, answers, spans.no_answer, truncated)
    return SpanPrediction(
        context[best.start : best.end],
        best.start,
        best.end,
        best.score,
        answers,
        spans.no_answer,
        truncated,
    )
