"""Finds the answer to a question among the spans of its context: what a device does all day.

As the ``question-answering`` pipeline of transformers 4.57 does it: probabilities of first and last tokens
within each window, over the tokens of the context and the first token of the window, which speaks for "no
answer"; the score of a span is the product of two of them, and spans that are the same words add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks import outputs
from edgeroberta.tasks.outputs import WORD, Indices

Values = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

#: Most tokens of an answer where nobody says otherwise, as the pipeline has it.
LONGEST = 15
#: What the column of words says of a window's first token, and of all others that are not of the context.
FIRST, OTHER = -2, -1


@dataclass(frozen=True)
class ScoredSpan:
    """A part of a context, and how probable it is the answer."""

    start: int  # first character
    end: int  # the one after the last
    score: float  # product of the probabilities of its first and last token, summed over windows


@dataclass(frozen=True)
class FoundSpans:
    """The best spans of a context, and how probable it is that none is the answer."""

    spans: tuple[ScoredSpan, ...]  # the best first; none where no token of the context was read
    #: score of no answer, the least of all windows: each but one may well have none
    no_answer: float

    def answer(self, threshold: float | None) -> ScoredSpan | None:
        """Return the best span; None where there is no answer.

        ``threshold``: by how much the score of no answer must be above that of the best span, see
        :attr:`edgeroberta.tasks.Task.no_answer`; None where there always is an answer.
        """
        if not self.spans:
            return None
        best = self.spans[0]
        return None if threshold is not None and self.no_answer - best.score > threshold else best


def search(
    values: Values, places: Indices, *, longest: int = LONGEST, top: int = 1, text: str | None = None
) -> FoundSpans:
    """Find the best spans of one context.

    Args:
        values: float32 ``[tokens, 2]``, logits of being the first and the last token of the answer, of all
            windows of the context one after the other.
        places: int64 ``[tokens, 3]``: characters of each token in the context, and the number of its word;
            :data:`FIRST` for the first token of each window, :data:`OTHER` for others that are not of the
            context.
        longest: Most tokens of a span.
        top: How many spans to return.
        text: The context. With it, spans of the same characters, upper and lower case aside, are one answer
            wherever they are, as in the pipeline; it has the place of the first found. Without it each place
            is an answer by itself.

    Returns:
        The spans, at most ``top``, each made of whole words.
    """
    places_of: dict[Any, tuple[int, int]] = {}
    scores: dict[Any, float] = {}
    no_answer = 1.0
    first = np.flatnonzero(places[:, WORD] == FIRST).tolist()
    for begin, stop in zip(first, [*first[1:], len(places)], strict=True):
        own = np.flatnonzero(places[begin:stop, WORD] >= 0) + begin
        starts, ends = (_softmax(values[np.append(begin, own), side]) for side in (0, 1))
        no_answer = min(no_answer, float(starts[0] * ends[0]))
        if not len(own):
            continue
        # Some candidates are of the same words, so there must be more of them; as many as the pipeline has.
        for (one, other), score in _best(starts[1:], ends[1:], 2 * top + 10, longest):
            span = _characters(places[own], one, other)
            if span[0] < span[1]:  # a space that is a token by itself stands for no character
                same = span if text is None else text[span[0] : span[1]].lower()
                places_of.setdefault(same, span)
                scores[same] = scores.get(same, 0.0) + score
    ordered = sorted(scores, key=lambda same: -scores[same])[:top]
    return FoundSpans(tuple(ScoredSpan(*places_of[same], scores[same]) for same in ordered), no_answer)


def _best(starts: Floats, ends: Floats, count: int, longest: int) -> list[tuple[tuple[int, int], float]]:
    """Return the best pairs of first and last token, with their scores, the best first."""
    longest = min(longest, len(ends))
    padded = np.concatenate([ends, np.zeros(longest - 1)])
    # Row i has the scores of the spans of 1, 2, … tokens that begin at token i.
    scores = np.lib.stride_tricks.sliding_window_view(padded, longest) * starts[:, None]
    flat = scores.ravel()
    count = min(count, len(flat))
    chosen = np.argpartition(-flat, count - 1)[:count]
    chosen = chosen[np.argsort(-flat[chosen], kind="stable")]
    pairs = ((int(each) // longest, int(each) % longest) for each in chosen)
    return [
        ((start, start + more), float(scores[start, more]))
        for start, more in pairs
        if start + more < len(ends)
    ]


def _characters(places: Indices, first: int, last: int) -> tuple[int, int]:
    """Return the characters of the words that some tokens of a context are of, as far as this window goes."""
    words = places[:, WORD]
    while first and words[first - 1] == words[first]:
        first -= 1
    while last + 1 < len(words) and words[last + 1] == words[last]:
        last += 1
    return int(places[first, outputs.START]), int(places[last, outputs.END])


def _softmax(logits: Values) -> Floats:
    powers = np.exp(logits.astype(np.float64) - float(logits.max()))
    return np.asarray(powers / powers.sum())
