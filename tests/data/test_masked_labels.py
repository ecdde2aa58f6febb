from __future__ import annotations

import numpy as np

from edgeroberta.data.rows import Rows
from edgeroberta.tasks import MaskedTokens


def test_true_tokens_of_masks_are_part_of_what_tells_rows_apart():
    texts = ("a <mask> c", "d <mask> <mask>")
    one = MaskedTokens.pack([np.array([5]), np.array([6, 7])])
    other = MaskedTokens.pack([np.array([5]), np.array([6, 8])])
    rows = Rows(texts, None, one, "a")
    assert rows.digest == Rows(texts, None, one, "b").digest != Rows(texts, None, other, "a").digest
    chosen = rows.select([1])
    assert chosen.labels.values.tolist() == [6, 7]
    assert len(chosen.labels) == 1
