"""Tags of words, drawn by chance, for the tests of everything that reads entities."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from edgeroberta.tasks import Outputs, Scheme, WordTags

TYPES = ("PER", "LOC", "E-MAIL")
MARKS = {Scheme.IO: "I", Scheme.IOB1: "BI", Scheme.IOB2: "BI", Scheme.BIOES: "BIES"}


def labels_of(scheme: Scheme, types: Sequence[str] = TYPES) -> tuple[str, ...]:
    """Return ``O`` and all tags of a scheme."""
    return ("O", *(f"{mark}-{kind}" for kind in types for mark in MARKS[scheme]))


def random_tags(labels: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """Draw any tags, whether the scheme has them in that order or not, for sentences of 1 to 9 words."""
    draw = random.Random(seed)
    weights = [len(labels) / 2, *[1] * (len(labels) - 1)]
    return [draw.choices(labels, weights, k=draw.randint(1, 9)) for _ in range(count)]


def changed(sentences: list[list[str]], labels: Sequence[str], seed: int) -> list[list[str]]:
    """Draw one of three tags anew."""
    draw = random.Random(seed)
    return [[tag if draw.random() < 0.67 else draw.choice(labels) for tag in tags] for tags in sentences]


def word_tags(sentences: Sequence[Sequence[str]], labels: Sequence[str]) -> WordTags:
    """Make words of one letter, joined by one space, of their tags."""
    ids = [np.array([labels.index(tag) for tag in tags], np.int64) for tags in sentences]
    starts = [2 * np.arange(len(tags)) for tags in sentences]
    return WordTags.pack(ids, [np.stack([at, at + 1, at // 2], axis=1) for at in starts])


def outputs_of(sentences: Sequence[Sequence[str]], labels: Sequence[str]) -> Outputs:
    """Make what a model gives that is sure of these tags, one token a word."""
    tags = word_tags(sentences, labels)
    return Outputs(5 * np.eye(len(labels), dtype=np.float32)[tags.values], tags.offsets, tags.places)
