"""Tokens: entities in texts, by a label per token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeroberta.tasks.outputs import Indices


class TokenLabels:
    """A label per token; answers are the entities of each text."""

    optimum_task = "token-classification"
    head = "token-classification"
    per_token = True


def places(text: str, spans: Sequence[tuple[int, int]], special: Sequence[int]) -> Indices:
    """Tell what each token stands for, int64 [tokens, 3]; see :class:`edgeroberta.tasks.outputs.Ragged`.

    A word begins where the text begins or a space stands before or at a token's first character, as the
    ``token-classification`` pipeline of transformers has it for tokenizers that do not mark the inside of
    words. ``spans``: first character of each token and the one after its last. ``special``: 1 for tokens that
    stand for no characters.
    """
    found, word = np.empty((len(spans), 3), np.int64), -1
    for row, ((start, end), no_text) in enumerate(zip(spans, special, strict=True)):
        if no_text:
            found[row] = (0, 0, -1)
            continue
        if word < 0 or start == 0 or " " in text[start - 1 : start + 1]:
            word += 1
        found[row] = (start, end, word)
    return found
