"""The kinds of task by name."""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """An enum whose members print as their values, as those of ``enum.StrEnum`` do from Python 3.11 on."""

    def __str__(self) -> str:
        return self.value


class Unit(Word):
    """What one row of a model's outputs is of."""

    TEXT = "text"  # the text, or the pair, as a whole
    TOKEN = "token"  # each token, special ones included
    MASK = "mask"  # each mask token, in the order of the text

    @property
    def located(self) -> bool:
        """Whether a unit has a place in the text, so that tokens must be told with their characters."""
        return self is not Unit.TEXT


class Problem(Word):
    """Kind of task; the first three under the names Hugging Face uses for ``problem_type``."""

    SINGLE_LABEL = "single_label_classification"
    MULTI_LABEL = "multi_label_classification"
    REGRESSION = "regression"
    TOKENS = "token_classification"
    SPANS = "question_answering"
    MASKED = "fill_mask"
    EMBEDDING = "sentence_similarity"
