from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2, IOBES

from edgeroberta import metrics
from edgeroberta.tasks import Outputs, Problem, Task, WordTags
from edgeroberta.tasks.schemes import Scheme

TYPES = ("PER", "LOC", "E-MAIL")
MARKS = {Scheme.IO: "I", Scheme.IOB1: "BI", Scheme.IOB2: "BI", Scheme.BIOES: "BIES"}


def labels_of(scheme: Scheme) -> tuple[str, ...]:
    return ("O", *(f"{mark}-{kind}" for kind in TYPES for mark in MARKS[scheme]))


def random_tags(scheme: Scheme, count: int, seed: int) -> list[list[str]]:
    draw = random.Random(seed)
    labels = labels_of(scheme)
    weights = [len(labels) / 2, *[1] * (len(labels) - 1)]
    return [draw.choices(labels, weights, k=draw.randint(1, 9)) for _ in range(count)]


def word_tags(sentences: list[list[str]], labels: tuple[str, ...]) -> WordTags:
    """Words of one letter, joined by one space."""
    ids = [np.array([labels.index(tag) for tag in tags], np.int64) for tags in sentences]
    starts = [2 * np.arange(len(tags)) for tags in sentences]
    return WordTags.pack(ids, [np.stack([at, at + 1, at // 2], axis=1) for at in starts])


def outputs_of(tags: WordTags, labels: tuple[str, ...]) -> Outputs:
    return Outputs(np.eye(len(labels), dtype=np.float32)[tags.values], tags.offsets, tags.places)


@pytest.mark.parametrize("scheme", Scheme)
def test_the_metrics_are_those_of_seqeval(scheme):
    labels = labels_of(scheme)
    task = Task(Problem.TOKENS, labels)
    readers = {Scheme.IOB2: IOB2, Scheme.BIOES: IOBES}
    for seed in range(100):
        true, said = (random_tags(scheme, 5, 2 * seed + each) for each in (0, 1))
        # Two of three tags right, so that there is something to count.
        draw = random.Random(seed)
        said = [
            [a if draw.random() < 0.67 else b for a, b in zip(one, (*two, *one), strict=False)]
            for one, two in zip(true, said, strict=True)
        ]
        found = metrics.all_metrics(
            task, outputs_of(word_tags(said, labels), labels), word_tags(true, labels)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert found["f1"] == pytest.approx(f1_score(true, said))
            assert found["precision"] == pytest.approx(precision_score(true, said))
            assert found["recall"] == pytest.approx(recall_score(true, said))
            assert found["macro_f1"] == pytest.approx(f1_score(true, said, average="macro"))
            if scheme in readers:
                strict = f1_score(true, said, mode="strict", scheme=readers[scheme])
                assert found["f1_strict"] == pytest.approx(strict)
