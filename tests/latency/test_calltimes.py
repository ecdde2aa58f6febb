"""Figures of calls, and of calls of several kinds."""

from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.latency.calltimes import CallTimes


def test_calls_are_summed_up():
    found = CallTimes.of(np.arange(1, 101) / 1000)
    assert found == CallTimes(*(pytest.approx(each) for each in (0.0505, 0.0505, 0.09505, 0.09901)))
    assert found.to_json() == pytest.approx(
        {"mean_ms": 50.5, "p50_ms": 50.5, "p95_ms": 95.05, "p99_ms": 99.01}
    )


@pytest.mark.parametrize("share", [0.0, 0.03, 0.3, 1.0])
def test_a_mixture_is_what_as_many_calls_of_each_kind_would_give(share):
    rng = np.random.default_rng(0)
    quick, slow = rng.uniform(1, 2, 1000), rng.uniform(1.5, 4, 500)
    drawn = np.concatenate(
        [rng.choice(quick, round(200_000 * (1 - share))), rng.choice(slow, round(200_000 * share))]
    )
    found, wanted = CallTimes.mixed([(1 - share, quick), (share, slow)]), CallTimes.of(drawn)
    for name, value in vars(wanted).items():
        assert getattr(found, name) == pytest.approx(value, rel=0.01)
