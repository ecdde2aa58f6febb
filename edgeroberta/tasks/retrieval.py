"""Where the right passage is among all, sorted by how alike they are to a query."""

from __future__ import annotations

import numpy as np

from edgeroberta.tasks.kind import Array, Floats
from edgeroberta.tasks.similarity import to_all

#: Similarities held at once: 4 million float64 are 32 MB.
_CELLS = 4_000_000
#: Share by which similarities of the same two vectors differ, since sums over blocks are rounded apart.
_ROUNDING = 1e-12


def ranks(similarity: str | None, queries: Array, passages: Array, ids: Array) -> Floats:
    """Return at which place each query's own passage is, from 1 on, among the different passages of all.

    One that is as alike as another is placed behind it, so that embeddings which are all the same find
    nothing. Other passages that answer the same query are passed over. ``queries``, ``passages``: float[n,
    H], side by side. ``ids``: int64[n] of the passages, or int64[n, 2] of queries and passages, equal where
    the text is the same. Returns float64[n]; the last place where a similarity is not a number.
    """
    asked, of_passage = (ids[:, 0], ids[:, 1]) if ids.ndim == 2 else (np.arange(len(ids)), ids)
    _, first, own = np.unique(of_passage, return_index=True, return_inverse=True)
    searched = passages[first]
    answers = _answers(asked, own)
    block = max(1, _CELLS // max(1, len(searched)))
    found = [np.zeros(0)]
    for start in range(0, len(queries), block):
        part = slice(start, start + block)
        alike = to_all(similarity, queries[part], searched)
        right = np.take_along_axis(alike, own[part, None], axis=1)
        for row, query in enumerate(asked[part]):
            if len(others := answers.get(int(query), ())) > 1:
                alike[row, others] = -np.inf
        np.put_along_axis(alike, own[part, None], np.inf, axis=1)  # its own passage counts in any case
        behind = alike < right - _ROUNDING * np.maximum(1.0, np.abs(right))
        found.append((~behind).sum(axis=1).astype(np.float64))
    return np.concatenate(found)


def _answers(asked: Array, own: Array) -> dict[int, list[int]]:
    """Tell which passages answer each query."""
    found: dict[int, list[int]] = {}
    for query, passage in zip(asked.tolist(), own.tolist(), strict=True):
        found.setdefault(query, []).append(passage)
    return found
