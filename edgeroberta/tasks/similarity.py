"""How alike two embeddings are: the functions that sentence-transformers has, under its names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgeroberta.tasks.kind import Array, Floats

#: The function of a model that names none.
COSINE = "cosine"
#: Below this a vector has no direction; as torch.nn.functional.normalize has it.
_LEAST = 1e-12


def _exact(vectors: Array) -> Floats:
    return np.asarray(vectors, np.float64)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), _LEAST))


#: Of vectors float64 ``[…, H]`` that are laid side by side, how alike they are; greater is more alike.
SIMILARITIES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    COSINE: lambda a, b: np.einsum("...h,...h->...", _unit(a), _unit(b)),
    "dot": lambda a, b: np.einsum("...h,...h->...", a, b),
    "euclidean": lambda a, b: -np.linalg.norm(a - b, axis=-1),
    "manhattan": lambda a, b: -np.abs(a - b).sum(axis=-1),
}


def pairwise(name: str | None, first: Array, second: Array) -> Floats:
    """Return how alike each vector is to the one at its side, float64[n] of float[n, H] each."""
    return np.asarray(SIMILARITIES[name or COSINE](_exact(first), _exact(second)), np.float64)


def to_all(name: str | None, queries: Array, passages: Array) -> Floats:
    """Return how alike each query is to each passage, float64[n, m] of float[n, H] and float[m, H]."""
    first, second = _exact(queries), _exact(passages)
    if (name or COSINE) == COSINE:
        return np.asarray(_unit(first) @ _unit(second).T)
    if name == "dot":
        return np.asarray(first @ second.T)
    return np.stack([SIMILARITIES[str(name)](row[None], second) for row in first])


def cosines(first: Array, second: Array) -> Floats:
    """Return the cosines of vectors side by side, float64[…] of float[…, H]; 1 where both are zero."""
    found = SIMILARITIES[COSINE](_exact(first), _exact(second))
    return np.where(~first.any(axis=-1) & ~second.any(axis=-1), 1.0, found)
