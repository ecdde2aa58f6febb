"""Puts the outputs of a long text together again of those of the windows that it was read in."""

from __future__ import annotations

import numpy as np

from edgeroberta.tasks.outputs import WORD, Indices, Outputs


def merge_tokens(windows: Outputs, overlap: int) -> Outputs:
    """Take each token from the window in whose middle it lies.

    Two neighbours share their tokens in the middle of the overlap, or at the start of the word that lies
    there, so that each token is read with at least half of the overlap, less a word, on both sides. Special
    tokens are those before the first window and after the last one. ``windows``: outputs with places, an
    entry per window, in the order of the text; the numbers of words are those of the whole text. ``overlap``:
    tokens that two neighbours have in common. Returns outputs of one text.
    """
    parts = [windows.part(number) for number in range(len(windows))]
    values, places = [], []
    start = 0
    for number, (rows, where) in enumerate(parts):
        stop, following = len(rows), 0
        if number + 1 < len(parts):
            after = _places(parts[number + 1][1])
            first = int(np.argmax(after[:, WORD] >= 0))
            cut = _cut(after[first : first + overlap, WORD])
            following = first + cut
            # What the next window gives up is read here, and the rest of the overlap there.
            own = np.flatnonzero(_places(where)[:, WORD] >= 0)
            stop = int(own[-1]) + 1 - (overlap - cut)
        values.append(rows[start:stop])
        places.append(_places(where)[start:stop])
        start = following
    return Outputs.pack([np.concatenate(values)], [np.concatenate(places)])


def _cut(words: Indices) -> int:
    """Return how many of the overlap's tokens are the former window's: about half, and whole words."""
    middle = cut = len(words) // 2
    while cut and words[cut] == words[cut - 1]:
        cut -= 1
    return cut or middle  # no word begins in the former half: it is one word, or there is no overlap


def _places(found: Indices | None) -> Indices:
    if found is None:
        raise ValueError("the windows of a text need the places of their tokens")
    return found
