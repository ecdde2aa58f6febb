"""A fake's embeddings: vectors of texts from a table, for all other texts one that is theirs alone."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeroberta.errors import UsageError, shown
from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.session import Ids, Logits
from edgeroberta.tasks import Problem, Task

#: Dimensions of a fake's embeddings where no answer says otherwise.
_DIMENSIONS = 8


def parts(answers: Mapping[Input, Any]) -> tuple[Task, FakeEmbeddingTokenizer, FakeEmbeddingSession]:
    """Make task, tokenizer and session; ``answers``: text to its vector."""
    vectors = {text: _vector(text, answer) for text, answer in answers.items()}
    widths = {len(vector) for vector in vectors.values()} or {_DIMENSIONS}
    if len(widths) > 1:
        raise UsageError(
            f"embeddings of {' and '.join(map(str, sorted(widths)))} dimensions; all have as many",
            where="answers",
        )
    task = Task(Problem.EMBEDDING, (), dimensions=widths.pop(), pooling="mean")
    tokenizer = FakeEmbeddingTokenizer()
    return task, tokenizer, FakeEmbeddingSession(task, tokenizer, vectors)


def _vector(text: Input, answer: Any) -> Logits:
    try:
        vector = np.asarray(answer, np.float32)
    except (TypeError, ValueError):
        vector = np.zeros(0, np.float32)
    if not isinstance(text, str) or vector.ndim != 1 or not len(vector):
        raise UsageError(
            f"{shown(answer)} is no embedding of a text",
            where="answers",
            hint='e.g. {"great film": [0.1, 0.9, 0.0]}: a list of numbers for each text',
        )
    return vector


class FakeEmbeddingTokenizer:
    """Gives each distinct text a number of its own, as three ids ``<s> number </s>``; prompts do nothing."""

    def __init__(self) -> None:
        self.max_length = 512
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._numbering = threading.Lock()

    def encode_one(self, item: Input, *, places: bool = False, prompt: Any = None) -> Encoding:
        """Encode a text, or the two of a pair; texts of more than 510 words count as truncated."""
        texts = (item,) if isinstance(item, str) else item
        parts = [self._number(text) for text in texts]
        cut = any(len(text.split()) > self.max_length - 2 for text in texts)
        first, *rest = (Encoding(np.array([0, number, 2], np.int64), cut) for number in parts)
        return Encoding(first.ids, cut, rest=tuple(rest))

    def encode(self, inputs: Sequence[Input], *, places: bool = False, prompt: Any = None) -> list[Encoding]:
        """Encode several inputs."""
        return [self.encode_one(item) for item in inputs]

    def _number(self, text: str) -> int:
        with self._numbering:
            if text not in self._numbers:
                self._numbers[text] = len(self.texts)
                self.texts.append(text)
            return self._numbers[text]


class FakeEmbeddingSession:
    """Answers from a table of vectors."""

    name = "fake"
    version = "0"

    def __init__(
        self, task: Task, tokenizer: FakeEmbeddingTokenizer, vectors: Mapping[Input, Logits]
    ) -> None:
        self._task, self._tokenizer, self._vectors = task, tokenizer, vectors

    def padded_length(self, length: int) -> int:
        """Return ``length``."""
        return length

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Look the vectors up, float32 [texts, dimensions]."""
        return np.stack([self._of(self._tokenizer.texts[int(ids[1])]) for ids in input_ids])

    def close(self) -> None:
        """Do nothing."""

    def _of(self, text: str) -> Logits:
        """Return the vector of a text; of one that has none, one that the text alone decides."""
        if text in self._vectors:
            return self._vectors[text]
        rng = np.random.default_rng(zlib.crc32(text.encode("utf-8", "replace")))
        return rng.standard_normal(self._task.num_outputs).astype(np.float32)
