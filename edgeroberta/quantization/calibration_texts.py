"""Which training rows ranges are chosen on, which int8 is checked on, and which are left to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeroberta.context import Context
from edgeroberta.data.rows import Rows
from edgeroberta.quantization import calibration_masks
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import embedding_texts
from edgeroberta.runtime.encoding import Encoding

#: Longest calibration text, in tokens: ranges come from token rows, and a long text adds rows like
#: those it already gave, at a cost that grows with the square of its length.
CALIBRATION_LENGTH = 256


@dataclass(frozen=True)
class RowSelection:
    """Numbers of training rows; those of the check are nowhere else."""

    calibration: NDArray[np.int64]
    check: NDArray[np.int64]  # empty where there are hardly any rows
    others: NDArray[np.int64]  # those of neither

    def learnable(self, count: int) -> NDArray[np.int64]:
        """Return at most so many rows to learn from: others first, then those of the calibration."""
        return np.concatenate([self.others, self.calibration])[:count]


def select_rows(count: int, *, samples: int, check_samples: int, seed: int) -> RowSelection:
    """Share out so many training rows; with few, calibration comes first, but some are left to check on."""
    order = np.random.default_rng(seed).permutation(count)
    wanted = min(samples, max(count - check_samples, (count + 1) // 2))
    ends = wanted, wanted + check_samples
    return RowSelection(order[: ends[0]], order[ends[0] : ends[1]], order[ends[1] :])


def read_rows(rows: Rows, checkpoint: Checkpoint, context: Context, *, share: float) -> list[Encoding]:
    """Tokenize rows as the device will, with the tokenizer of a checkpoint.

    ``share``: of masked words, the share of each text's tokens that is masked; 0 for one mask, as in the
    rows of the gate.
    """
    length = min(CALIBRATION_LENGTH, checkpoint.config.max_length)
    tokenizer = embedding_texts.reader(context.task).open(checkpoint.folder, length)
    found = tokenizer.encode(rows.read(), places=context.task.kind.unit.located)
    return calibration_masks.mask(found, context.task, share=share, seed=context.seed)
