"""Tokens: entities in texts, by a label per token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.tasks.outputs import Indices, Outputs
from edgeroberta.tasks.windows import merge_tokens

if TYPE_CHECKING:
    from edgeroberta.tasks.task import Task


class TokenLabels:
    """A label per token; answers are the entities of each text."""

    optimum_task = "token-classification"
    head = "token-classification"
    per_token = True

    def merge(self, task: Task, windows: Outputs, overlap: int) -> Outputs:
        """Take each token from the window in whose middle it lies."""
        return merge_tokens(windows, overlap)


def places(text: str, spans: Sequence[tuple[int, int]], special: Sequence[int]) -> Indices:
    """Tell what each token stands for, int64 [tokens, 3]; see :class:`edgeroberta.tasks.outputs.Ragged`.

    A word begins where the text begins or a space stands before or at a token's first character, as the
    ``token-classification`` pipeline of transformers has it for tokenizers that do not mark the inside of
    words. ``spans``: first character of each token and the one after its last. ``special``: 1 for tokens that
    stand for no characters.
    """
    # A list first: writing into an array row by row takes five times as long.
    rows, word = [], -1
    for (start, end), no_text in zip(spans, special, strict=True):
        if no_text:
            rows.append((0, 0, -1))
            continue
        if word < 0 or start == 0 or " " in text[start - 1 : start + 1]:
            word += 1
        rows.append((start, end, word))
    return np.array(rows, np.int64).reshape(-1, 3)
