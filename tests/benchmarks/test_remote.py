"""What benchmarks/remote.py makes of its runs."""

from __future__ import annotations

import pytest

from benchmarks import remote
from benchmarks.results import this_machine
from edgeroberta.measure.clock import CallShape, Latency, summarise

SHAPE = CallShape(warmup=20)


def latency(*rounds_ms: float) -> Latency:
    return summarise([[each / 1000] * 10 for each in rounds_ms], SHAPE)


def test_pairs_are_compared_by_their_fastest_rounds():
    pairs = [
        ({"engine": latency(2.0, 5.0, 9.0)}, {"engine": latency(7.0, 2.1, 2.2)}),
        ({"engine": latency(4.0, 4.0, 4.0)}, {"engine": latency(4.04, 4.1, 4.2)}),
        ({"engine": latency(3.0, 3.0, 3.0)}, {"engine": latency(2.7, 8.0, 8.0)}),
    ]
    result = remote.summary(pairs, this_machine("some-machine"), {"pairs": 3})
    (row,) = result.rows
    values = dict(row.values)
    assert (values["here, best round ms"], values["over ssh, best round ms"]) == (3.0, 2.7)
    assert values["added %"] == pytest.approx(1.0)
    assert values["added p50 %"] == pytest.approx(2.5)
    (check,) = result.checks
    assert (check.value, check.bar, check.ok) == (values["added %"], 2.0, True)
