"""How many texts a model answers in a second when all of them are there from the start.

This is the offline scenario of MLPerf Inference (mlcommons/inference_policies, inference_rules.adoc, table
of scenarios: all samples are sent at once, the metric is throughput); the single stream of the same table
is rated by its 90th percentile, which every latency here carries. Only the figures are theirs: a run here
lasts seconds, not the 600 that a submission needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Texts per call that are tried. A GPU needs many, a small CPU is often best with one.
BATCHES = (1, 8, 32)
#: Texts that are answered with each, of lengths as the data's.
TEXTS = 256
#: A batch size is given up after this long; slow models then have answered fewer texts.
SECONDS = 5.0


@dataclass(frozen=True)
class Throughput:
    """The best of the batch sizes."""

    texts_per_second: float  # texts answered divided by the time the calls took
    batch: int  # texts per call that gave it
    texts: int  # texts that were answered with that batch size
    tried: tuple[tuple[int, float], ...]  # texts per second for each batch size, smallest first

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Throughput:
        """Read back what ``dataclasses.asdict`` made and JSON stored."""
        tried = tuple((int(size), float(rate)) for size, rate in fields["tried"])
        return cls(**{**fields, "tried": tried})


@dataclass(frozen=True)
class BatchTiming:
    """What one batch size took."""

    batch: int  # texts per call
    texts: tuple[int, ...]  # texts of each call; the last of the data may be fewer
    seconds: tuple[float, ...]  # seconds of each call that was made, which may be the first few only


def best(timed: Sequence[BatchTiming]) -> Throughput | None:
    """Choose the batch size that answers most texts in a second; None when no call was made."""
    rates = []
    for each in timed:
        spent, answered = sum(each.seconds), sum(each.texts[: len(each.seconds)])
        if spent > 0:
            rates.append((answered / spent, each.batch, answered))
    if not rates:
        return None
    rate, batch, texts = max(rates)
    return Throughput(rate, batch, texts, tuple((size, speed) for speed, size, _ in rates))


def batches(rows: Sequence[int], lengths: Sequence[int], size: int) -> list[list[int]]:
    """Put rows of like length together, as one would who has all texts; the calls' order is random.

    ``size``: rows per call. Returns row numbers, one list per call, the last ones of a list maybe fewer. When
    time runs out, the calls that were made are as long as the others.
    """
    order = sorted(rows, key=lambda row: (lengths[row], row))
    calls = [order[at : at + size] for at in range(0, len(order), size)]
    return [calls[index] for index in np.random.default_rng(0).permutation(len(calls))]
