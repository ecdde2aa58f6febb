from __future__ import annotations

import itertools

from edgeroberta.measure.warmup import WarmUp, warm_up


def windows(*medians: float) -> object:
    found = itertools.chain(medians, itertools.repeat(medians[-1]))
    return lambda: [next(found)] * 5


def test_it_ends_when_two_windows_take_as_long():
    assert warm_up(windows(9.0, 3.0, 1.0, 1.04)) == WarmUp(20, True)  # type: ignore[arg-type]


def test_a_single_slow_call_does_not_prolong_it():
    calls = iter([[1.0] * 5, [1.0, 50.0, 1.0, 1.0, 1.0]])
    assert warm_up(lambda: next(calls)) == WarmUp(10, True)


def test_what_never_holds_still_is_given_up_and_told():
    falling = itertools.count(1000.0, -60.0)
    found = warm_up(lambda: [next(falling)] * 3)
    assert found == WarmUp(30, False)


def test_a_slow_model_is_given_two_windows_whatever_they_take():
    assert warm_up(windows(9.0, 3.0, 1.0), most_seconds=0.0) == WarmUp(10, False)  # type: ignore[arg-type]
