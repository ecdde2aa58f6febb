"""Which tokens of one tokenizer stand for those of another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.signedinteger]


def match(
    ours: Integers, our_mask: npt.NDArray[np.bool_], theirs: Integers, their_mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Find for each token of a batch the one of another tokenizer that stands for it.

    That is the token of the same characters; for the first token of a word, where there is none such, the one
    that begins at the same character: it is what the word's label is read from. ``ours``: places int[B, S,
    3], see :class:`edgeroberta.tasks.outputs.Ragged`. ``our_mask``: bool[B, S], where a token stands for
    characters. ``theirs``, ``their_mask``: those of the other tokenizer, of S' tokens. Returns int64[B, S],
    -1 where there is none.
    """
    found = np.full(ours.shape[:2], -1, np.int64)
    for result, mine, real, other, there in zip(found, ours, our_mask, theirs, their_mask, strict=True):
        by_span: dict[tuple[int, int], int] = {}
        by_start: dict[int, int] = {}
        # From the last to the first, which is the one to be found where several stand for one character.
        for number in np.flatnonzero(there).tolist()[::-1]:
            start, end, _ = other[number].tolist()
            by_span[start, end] = by_start[start] = number
        word = -1
        for place in np.flatnonzero(real).tolist():
            start, end, own = mine[place].tolist()
            number = by_span.get((start, end), -1)
            result[place] = by_start.get(start, -1) if number < 0 and own != word else number
            word = own
    return found
