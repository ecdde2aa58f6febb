"""Where an answer begins and ends, of all tokens of a window.

A long context is several windows, each a text of its own in training. One without the answer is to say that
there is none: both its numbers are those of its first token, as are those of a question without an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgeroberta.tasks.outputs import END, START, WORD, AnswerSpans
from edgeroberta.tasks.span_search import FIRST
from edgeroberta.training.heads.matching import match

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.tasks import Task
    from edgeroberta.training.batching import Indices, Tokens

#: What labels say of a token: that it is the one, that it is not, and that it can be none.
RIGHT, WRONG, NEVER = 1, 0, -1
#: Windows that tell how much of what a student reads its teacher reads, too.
SAMPLED = 1024


class QuestionAnswering:
    """Spans of contexts; see :class:`edgeroberta.training.heads.TrainingHead`."""

    def labels(self, rows: Rows, task: Task, tokens: Tokens) -> SpanLabels:
        """Find the first answer of each question in its windows."""
        return SpanLabels(rows, tokens)

    def matches(self, ours: Tokens, theirs: Tokens) -> MatchedWindows:
        """Match tokens of the same characters in windows of the same part of a context."""
        return MatchedWindows(ours, theirs)


class SpanLabels:
    """Answers in the windows of a run's first questions; those after them have none.

    Of several true answers the first is learned.
    """

    def __init__(self, rows: Rows, tokens: Tokens) -> None:
        answers: AnswerSpans | None = rows.labels
        self._tokens = tokens
        inputs = _inputs(tokens)
        count = 0 if answers is None else int(inputs[len(answers)])
        self._ends = np.zeros((count, 2), np.int64)  # first and last token of the answer in each window
        self._known = np.ones(count, np.bool_)
        lost = unanswerable = 0
        for row in range(0 if answers is None else len(answers)):
            assert answers is not None
            spans, _ = answers.part(row)
            if not len(spans):
                unanswerable += 1
                continue
            windows = range(int(inputs[row]), int(inputs[row + 1]))
            found = [window for window in windows if self._find(window, *spans[0].tolist())]
            if not found:  # such as one that is longer than a window: what is true of these is not known
                self._known[windows.start : windows.stop] = False
                lost += 1
        questions = 0 if answers is None else len(answers)
        self._notes = {
            "questions": questions,
            "windows": count,
            "unanswerable": unanswerable,
            "answers_lost": lost,
        }

    def _find(self, window: int, start: int, end: int) -> bool:
        """Note where an answer, given by its characters, is in a window; tell whether it is all there."""
        offsets = self._tokens.offsets
        places = np.asarray(self._tokens.located[offsets[window] : offsets[window + 1]])
        own = np.flatnonzero(places[:, WORD] >= 0)
        if not len(own) or places[own[0], START] > start or places[own[-1], END] < end:
            return False
        first = own[np.argmax(places[own, END] > start)]
        last = own[len(own) - 1 - np.argmax(places[own[::-1], START] < end)]
        if first > last:
            return False
        self._ends[window] = first, last
        return True

    def batch(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """Return labels int64[B, S, 2], of start and end, and bool[B], which windows have some.

        A label is :data:`RIGHT` of one token, :data:`NEVER` of the question, separators and padding, and
        :data:`WRONG` of all others.
        """
        possible = _possible(self._tokens, rows)
        labels = np.where(possible, WRONG, NEVER)[..., None].repeat(2, axis=2)
        there = rows < len(self._ends)
        ends = self._ends[np.where(there, rows, 0)] if len(self._ends) else np.zeros((len(rows), 2), np.int64)
        for side in (0, 1):
            labels[np.arange(len(rows)), ends[:, side], side] = RIGHT
        known = np.zeros(len(rows), np.bool_)
        known[there] = self._known[rows[there]]
        return torch.from_numpy(labels), torch.from_numpy(known)

    def notes(self) -> Mapping[str, int]:
        """Count questions, windows, questions without an answer, and answers that no window holds."""
        return self._notes


class MatchedWindows:
    """A teacher's answers to a student's tokens: of those that can be an answer, and that both read alike.

    Where the two cut contexts otherwise, each window of the student's is held to the teacher's that has most
    of its characters.
    """

    def __init__(self, ours: Tokens, theirs: Tokens) -> None:
        self._ours, self._theirs = ours, theirs
        self._windows = None if ours is theirs else _windows(ours, theirs)

    def asked(self, rows: Indices) -> Indices:
        """Return which of the teacher's windows stand for the student's at ``rows``, int64[B]."""
        return rows if self._windows is None else self._windows[rows]

    def batch(self, rows: Indices, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float[B, S, 2] of the student's tokens, and bool[B], windows that have some.

        Tokens that are no answer, and those that the teacher has not, have minus infinity.
        """
        possible = _possible(self._ours, rows)
        if self._windows is None:
            real = torch.from_numpy(possible).to(logits.device)
            return logits.masked_fill(~real[..., None], float("-inf")), real.any(1)
        found = torch.from_numpy(self._found(rows, possible)).to(logits.device)
        picked = logits.gather(1, found.clamp(min=0)[..., None].expand(-1, -1, logits.shape[-1]))
        # The first token alone is nothing to choose from.
        return picked.masked_fill((found < 0)[..., None], float("-inf")), (found >= 0).sum(1) > 1

    def share(self) -> float | None:
        """Return the share of tokens that the teacher has one for, of the first :data:`SAMPLED` windows."""
        if self._windows is None:
            return None
        rows = np.arange(min(SAMPLED, len(self._ours)))
        possible = _possible(self._ours, rows)
        return float((self._found(rows, possible) >= 0).sum() / max(int(possible.sum()), 1))

    def _found(self, rows: Indices, possible: npt.NDArray[np.bool_]) -> Indices:
        """Find for each token the teacher's, int64[B, S], -1 where there is none."""
        numbers, _ = self._ours.table(rows)
        theirs, mask = self._theirs.table(self.asked(rows))
        mine, other = self._ours.located[numbers], self._theirs.located[theirs]
        context = possible & (mine[..., WORD] >= 0)
        found = match(mine, context, other, mask & (other[..., WORD] >= 0))
        found[possible & (mine[..., WORD] == FIRST)] = 0
        return found


def _inputs(tokens: Tokens) -> Indices:
    """Return the first window of each question, int64[questions + 1]."""
    return np.arange(len(tokens) + 1) if tokens.inputs is None else tokens.inputs


def _possible(tokens: Tokens, rows: Indices) -> npt.NDArray[np.bool_]:
    """Tell which tokens of a batch can begin or end an answer, or say that there is none, bool[B, S]."""
    numbers, mask = tokens.table(rows)
    words = tokens.located[numbers, WORD]
    return mask & ((words >= 0) | (words == FIRST))


def _reach(tokens: Tokens) -> Indices:
    """Return the first character of each window's part of the context, and the one after its last."""
    found = np.zeros((len(tokens), 2), np.int64)
    for window in range(len(tokens)):
        places = np.asarray(tokens.located[tokens.offsets[window] : tokens.offsets[window + 1]])
        own = places[places[:, WORD] >= 0]
        found[window] = own[0, START], own[-1, END]
    return found


def _windows(ours: Tokens, theirs: Tokens) -> Indices:
    """Find for each of our windows theirs that has most of its characters, int64[windows]."""
    mine, other = _reach(ours), _reach(theirs)
    found = np.zeros(len(ours), np.int64)
    first, starts = _inputs(ours), _inputs(theirs)
    for begin, stop, lower, upper in zip(first[:-1], first[1:], starts[:-1], starts[1:], strict=True):
        for window in range(begin, stop):
            low = np.maximum(other[lower:upper, 0], mine[window, 0])
            high = np.minimum(other[lower:upper, 1], mine[window, 1])
            found[window] = lower + int(np.argmax(high - low))
    return found
