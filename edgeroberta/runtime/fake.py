"""A session without engine or files, for the tests of programs that use a runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.runtime.session import Ids, Logits
from edgeroberta.runtime.tokenizer import Encoding, Input
from edgeroberta.tasks import Problem, Task

# Logit of a label that is said to apply: a probability of 0.98.
_SURE = 4.0


class FakeTokenizer:
    """Gives each distinct input a number of its own, as three ids ``<s> number </s>``."""

    max_length = 512

    def __init__(self) -> None:
        self.numbers: dict[Input, int] = {}

    def encode_one(self, item: Input) -> Encoding:
        """Encode one input; texts of more than 510 words count as truncated."""
        number = self.numbers.setdefault(item, len(self.numbers))
        words = len(item.split()) if isinstance(item, str) else sum(len(text.split()) for text in item)
        return Encoding(np.array([0, number, 2], np.int64), words > self.max_length - 2)

    def encode(self, inputs: Sequence[Input]) -> list[Encoding]:
        """Encode several inputs."""
        return [self.encode_one(item) for item in inputs]


class FakeSession:
    """Answers from a table."""

    name = "fake"
    version = "0"

    def __init__(self, task: Task, tokenizer: FakeTokenizer, answers: Mapping[Input, Any]) -> None:
        self._task = task
        self._rows: dict[int, Logits] = {}
        self._other = self._row(())
        if task.problem is Problem.SINGLE_LABEL:
            self._other = self._row(task.labels[0])
        for item, answer in answers.items():
            number = int(tokenizer.encode_one(item).ids[1])
            self._rows[number] = self._row(answer)

    def padded_length(self, length: int) -> int:
        """Return ``length``."""
        return length

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Look the answers up; see :class:`edgeroberta.runtime.session.Session`."""
        return np.stack([self._rows.get(int(ids[1]), self._other) for ids in input_ids])

    def close(self) -> None:
        """Do nothing."""

    def _row(self, answer: Any) -> Logits:
        if isinstance(answer, (int, float)):
            return np.array([answer], np.float32)
        if isinstance(answer, Mapping):
            self._check(answer)
            return np.array([answer.get(label, -_SURE) for label in self._task.labels], np.float32)
        chosen = (answer,) if isinstance(answer, str) else tuple(answer)
        self._check(chosen)
        if self._task.problem is Problem.REGRESSION:
            return np.zeros(1, np.float32)
        # Two logits that are this far apart in softmax, or one this far from 0 in sigmoid.
        return np.array([_SURE if label in chosen else -_SURE for label in self._task.labels], np.float32)

    def _check(self, labels: Iterable[str]) -> None:
        for label in labels:
            if label not in self._task.labels:
                raise UsageError(
                    f"there is no label {label!r} (labels: {', '.join(self._task.labels)})",
                    where="answers",
                    hint=did_you_mean(label, self._task.labels),
                )
