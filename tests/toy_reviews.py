"""Film reviews of a few words, in the place of the packaged ones."""

from __future__ import annotations

import random

import numpy as np

from edgeroberta.data.rows import Rows

GOOD, BAD = ("great", "lovely", "good"), ("terrible", "boring", "bad")


def toy_reviews(count: int = 120, sentences: int = 6) -> Rows:
    """Reviews whose adjectives tell the label, each with a number of its own."""
    draw, texts, labels = random.Random(0), [], []
    for number in range(count):
        label = number % 2
        said = [f"The film {number} is a {draw.choice((BAD, GOOD)[label])} one." for _ in range(sentences)]
        texts.append(" ".join(said))
        labels.append(label)
    return Rows(tuple(texts), None, np.array(labels, np.int64), "toy reviews")
