"""A fake's answers to questions: parts of contexts, from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeroberta.errors import UsageError, shown
from edgeroberta.runtime import questions
from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.session import Ids, Logits
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.span_search import FIRST
from edgeroberta.tasks.spans import SIDES

# Logit of the token that an answer begins or ends with; of all others it is 0.
_SURE = 12.0
#: No text is cut; the search takes answers of any length.
_LONGEST = 1 << 24


def parts(answers: Mapping[Input, Any]) -> tuple[Task, FakeQuestionTokenizer, FakeSpanSession]:
    """Make task, tokenizer and session; ``answers``: (question, context) to a part of the context or None."""
    task = Task(Problem.SPANS, SIDES, pair=True, no_answer=0.0, max_answer_tokens=_LONGEST)
    tokenizer = FakeQuestionTokenizer()
    return task, tokenizer, FakeSpanSession(tokenizer, answers)


class FakeQuestionTokenizer:
    """Gives each distinct input a number of its own: ``<s>``, the number once a character, ``</s>``."""

    def __init__(self) -> None:
        self.max_length = _LONGEST
        self.numbers: dict[Input, int] = {}

    def encode_one(self, item: Input, *, places: bool = False) -> Encoding:
        """Encode a question and its context, every character of which is a token and a word."""
        context = item[1]
        questions.refuse_blank(item[0], context)
        number, characters = self.numbers.setdefault(item, len(self.numbers)), np.arange(len(context))
        found = np.zeros((len(context) + 2, 3), np.int64)
        found[:, 2] = -1
        found[0, 2] = FIRST
        found[1:-1] = np.stack([characters, characters + 1, characters], axis=1)
        return Encoding(np.array([0, *[number] * len(context), 2], np.int64), False, found)

    def encode(self, inputs: Sequence[Input], *, places: bool = False) -> list[Encoding]:
        """Encode several inputs."""
        return [self.encode_one(item, places=places) for item in inputs]


class FakeSpanSession:
    """Answers from a table of the answers to questions."""

    name = "fake"
    version = "0"

    def __init__(self, tokenizer: FakeQuestionTokenizer, answers: Mapping[Input, Any]) -> None:
        self._spans: dict[int, tuple[int, int]] = {}
        for item, answer in answers.items():
            if not isinstance(item, tuple) or not (answer is None or isinstance(answer, str)):
                what = f"{shown(item)} with {shown(answer)} is no question with its answer"
                hint = '{("question", "context"): "a part of the context"}, or None'
                raise UsageError(what, where="answers", hint=hint)
            start = item[1].find(answer) if answer else -1
            if answer is not None and start < 0:
                raise UsageError(f"{shown(answer)} is not in its context", where="answers")
            if answer:
                number = int(tokenizer.encode_one(item).ids[1])
                self._spans[number] = (start + 1, start + len(answer))

    def padded_length(self, length: int) -> int:
        """Return ``length``."""
        return length

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Look the answers up, float32 [questions, tokens, 2]."""
        found = np.zeros((*input_ids.shape, 2), np.float32)
        for row, ids in zip(found, input_ids, strict=True):
            first, last = self._spans.get(int(ids[1]), (0, 0))
            row[first, 0] = row[last, 1] = _SURE
        return found

    def close(self) -> None:
        """Do nothing."""
