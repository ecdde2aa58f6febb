"""Which tokens texts to come will use: those that are like the ones that the user's texts use already.

Texts of one kind (film reviews, all in lower case) use words of one kind, and the embeddings know which
words are alike. So a ridge regression on the embeddings (direction alone) and on how general a token is
tells used from unused tokens; its value for an unused one says how much it looks like a used one. On
SST-2, with 40 % of RoBERTa's tokens kept, filling up in this order leaves 1.1 % of the development set's
tokens out, filling up by the order of merges 1.7 %.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.names import WORDS

Floats = npt.NDArray[np.float64]

# Added to the diagonal, where the sum over n tokens of a feature of variance 1 is n.
_RIDGE = 1.0
# Ranks below this are all very general.
_FIRST_RANKS = 1000
_ROWS = 4096


def score(model: Checkpoint, used: npt.NDArray[np.bool_], ranks: Floats) -> Floats:
    """Score how likely texts to come use each token.

    ``used``: bool[rows], whether the user's texts need the token. ``ranks``: float64[rows], place of the
    token from general to special; infinite for ids that no text can have, which are not looked at. Returns
    float64[rows], the higher the likelier; -infinity where the rank is infinite.
    """
    possible = np.isfinite(ranks)
    width = model.tensor(WORDS).shape[1] + 2
    products, targets = _RIDGE * np.eye(width), np.zeros(width)
    for rows, features in _features(model, ranks):
        chosen = features[possible[rows]]
        products += chosen.T @ chosen
        targets += chosen.T @ used[rows][possible[rows]]
    weights = np.linalg.solve(products, targets)
    found = np.full(len(ranks), -np.inf)
    for rows, features in _features(model, ranks):
        found[rows] = np.where(possible[rows], features @ weights, -np.inf)
    return found


def _features(model: Checkpoint, ranks: Floats) -> Iterator[tuple[slice, Floats]]:
    """Give some rows at a time: the embedding's direction, the logarithm of the rank, and 1."""
    finite = np.where(np.isfinite(ranks), ranks, 0)
    for start, table in model.tensor(WORDS).floats(_ROWS):
        rows = slice(start, start + len(table))
        norms = np.linalg.norm(table, axis=1, keepdims=True)
        # Times the root of the width: every feature then has a variance of about 1.
        directions = table / np.maximum(norms, 1e-12) * np.sqrt(table.shape[1])
        logs = np.log((finite[rows, None] + _FIRST_RANKS) / _FIRST_RANKS)
        yield rows, np.concatenate([directions, logs, np.ones_like(logs)], axis=1)
