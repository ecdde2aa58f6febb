"""The kinds of task by name."""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """An enum whose members print as their values, as those of ``enum.StrEnum`` do from Python 3.11 on."""

    def __str__(self) -> str:
        return self.value


class Problem(Word):
    """Kind of task; the first three under the names Hugging Face uses for ``problem_type``."""

    SINGLE_LABEL = "single_label_classification"
    MULTI_LABEL = "multi_label_classification"
    REGRESSION = "regression"
    TOKENS = "token_classification"
