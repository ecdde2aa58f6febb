"""Where the right passage is among all, sorted by how alike they are to a query."""

from __future__ import annotations

import numpy as np

from edgeroberta.tasks.kind import Array, Floats
from edgeroberta.tasks.similarity import to_all

#: Similarities held at once: 4 million float64 are 32 MB.
_CELLS = 4_000_000


def ranks(similarity: str | None, queries: Array, passages: Array, ids: Array) -> Floats:
    """Return at which place each query's own passage is, from 1 on, among the different passages of all.

    One that is as alike as another is placed behind it, so that embeddings which are all the same find
    nothing. ``queries``, ``passages``: float[n, H], side by side. ``ids``: int64[n], equal where the passage
    is the same. Returns float64[n].
    """
    _, first, own = np.unique(ids, return_index=True, return_inverse=True)
    searched = passages[first]
    block = max(1, _CELLS // max(1, len(searched)))
    found = [np.zeros(0)]
    for start in range(0, len(queries), block):
        part = slice(start, start + block)
        alike = to_all(similarity, queries[part], searched)
        right = np.take_along_axis(alike, own[part, None], axis=1)
        found.append((alike >= right).sum(axis=1).astype(np.float64))
    return np.concatenate(found)
