"""Masks in texts that have none, for the graphs of models that fill them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeroberta.runtime.encoding import Encoding
from edgeroberta.tasks import Task, Unit
from edgeroberta.tasks.outputs import WORD

#: Share of a calibration text's tokens that are masked, as in pre-training (BERT, arXiv:1810.04805).
SHARE = 0.15


def mask(encodings: Sequence[Encoding], task: Task, *, share: float, seed: int) -> list[Encoding]:
    """Mask tokens of texts, where the task is to fill masks; those that have masks stay as they are.

    ``share``: of each text's tokens, one at least. Only tokens that stand for characters are masked.
    """
    if task.kind.unit is not Unit.MASK:
        return list(encodings)
    rng = np.random.default_rng(seed)
    return [_masked(each, task, share, rng) for each in encodings]


def _masked(encoding: Encoding, task: Task, share: float, rng: np.random.Generator) -> Encoding:
    ids = encoding.ids
    if (ids == task.mask_id).any():
        return encoding
    some = _maskable(encoding)
    if not len(some):
        some = np.arange(len(ids))
    chosen = rng.choice(some, max(1, round(share * len(some))), replace=False)
    masked = ids.copy()
    masked[chosen] = int(task.mask_id or 0)
    return replace(encoding, ids=masked)


def _maskable(encoding: Encoding) -> NDArray[np.int64]:
    if encoding.places is None:
        return np.arange(1, len(encoding.ids) - 1)
    return np.flatnonzero(encoding.places[:, WORD] >= 0)
