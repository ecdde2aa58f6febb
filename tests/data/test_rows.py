from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeroberta.data import Rows, Splits


def test_the_digest_for_training_leaves_out_only_the_held_out_rows():
    def rows(*texts: str) -> Rows:
        return Rows(texts, None, np.arange(len(texts)), "x")

    splits = Splits(rows("a"), rows("b"), rows("c"), rows("d"), ("no", "yes"))
    other = replace(splits, heldout=rows("e"))
    assert other.training_digest == splits.training_digest
    assert other.digest != splits.digest
    for part in ("train", "validation", "unlabelled"):
        assert replace(splits, **{part: rows("e")}).training_digest != splits.training_digest
    assert replace(splits, labels=("no", "maybe")).training_digest != splits.training_digest
