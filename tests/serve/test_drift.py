"""The warning comes when texts have changed, and seldom otherwise: how seldom is computed, and simulated."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

from edgeroberta.errors import UsageError
from edgeroberta.runtime.tier_facts import CascadeFacts, TierFacts
from edgeroberta.serve import Settings, drift
from edgeroberta.serve.drift import DriftMonitor, usual
from edgeroberta.tasks import Calibration

WINDOW, ALARMS = Settings().drift_window, Settings().drift_alarms
STEP = WINDOW // drift.LOOKS
#: Looks at a server in 200,000 texts.
LOOKS = (drift.HORIZON - WINDOW) // STEP + 1


def cascade(*shares: float, rows: int = 2000) -> CascadeFacts:
    """What a manifest says of a cascade whose tiers but the last answered these shares."""
    tiers = tuple(
        TierFacts(f"tier-{number}", f"tiers/tier-{number}", "", 0.9, Calibration(), share)
        for number, share in enumerate(shares)
    )
    return CascadeFacts(tiers, "last", agreement=0.99, confidence=0.95, rows=rows)


def log_binomial(count: int, probability: float) -> np.ndarray:
    """Probability of each number of hits of so many, float64[count + 1]."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    hits = np.arange(count + 1)
    found = logs[count] - logs[hits] - logs[count - hits]
    return np.exp(found + hits * math.log(probability) + (count - hits) * math.log1p(-probability))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
@pytest.mark.parametrize(("window", "rows", "level"), [(500, 100, 0.05), (500, 300, 0.002), (200, 400, 0.01)])
def test_a_look_is_fooled_no_more_often_than_its_level(share, window, rows, level):
    """Over both samples, exactly: what the choice saw, and what the window shows of the same share."""
    of_window = log_binomial(window, share)
    fooled = 0.0
    for passed, chance in enumerate(log_binomial(rows, share)):
        bounds = usual(window, passed, rows, level)
        fooled += chance * (1 - of_window[bounds.low : bounds.high + 1].sum())
    assert 0 <= fooled <= level


def test_the_bounds_are_those_of_fishers_test():
    """30 of 100 against 241 or 242 of 500; tails of the hypergeometric distribution by scipy 1.17."""
    bounds = usual(500, 30, 100, 2 * 0.0005)
    assert (bounds.low, bounds.high) == (76, 241)


def test_few_texts_of_the_choice_say_little():
    assert usual(2000, 3, 10, 1e-5).high > 1800


def test_unchanged_texts_give_a_warning_in_one_of_a_hundred_servers_at_most():
    """300 servers with 200,000 texts each, and a choice of its own for each."""
    rng = np.random.default_rng(0)
    share, rows, servers = 0.3, 2000, 300
    warned = 0
    for passed in rng.binomial(rows, share, servers):
        bounds = usual(WINDOW, int(passed), rows, ALARMS / LOOKS)
        steps = rng.binomial(STEP, share, drift.HORIZON // STEP)
        counts = np.convolve(steps, np.ones(drift.LOOKS, np.int64), mode="valid")
        assert len(counts) == LOOKS
        warned += not all(bounds.holds(int(count)) for count in (counts.min(), counts.max()))
    assert warned <= 9  # 3 are expected at most; more than 9 come once in 900 times


def test_a_monitor_is_silent_on_unchanged_texts():
    monitor = DriftMonitor(cascade(0.7), window=WINDOW, false_alarms=ALARMS)
    for passed in np.random.default_rng(1).random(drift.HORIZON) < 0.3:
        monitor.add(["last" if passed else "tier-0"])
        assert monitor.warning is None
    assert monitor.escalated == pytest.approx(0.3, abs=0.05)
    assert monitor.expected == pytest.approx(0.3)


@pytest.mark.parametrize("shifted", [0.20, 0.40])
def test_texts_of_which_ten_points_more_or_less_are_escalated_are_noticed(shifted, caplog):
    """Within a window and a look, of 2,000 texts of the choice with 30 %: in 99 of 100 servers."""
    bounds = usual(WINDOW, 600, 2000, ALARMS / LOOKS)
    missed = log_binomial(WINDOW, shifted)[bounds.low : bounds.high + 1].sum()
    assert missed < 0.01
    monitor = DriftMonitor(cascade(0.7), window=WINDOW, false_alarms=ALARMS)
    rng = np.random.default_rng(2)
    for passed in rng.random(20_300) < 0.3:
        monitor.add(["last" if passed else "tier-0"])
    assert monitor.warning is None
    with caplog.at_level(logging.WARNING, logger="edgeroberta"):
        for passed in rng.random(WINDOW + STEP) < shifted:
            monitor.add(["last" if passed else "tier-0"])
    assert "the texts have changed: tier-0 passed on" in monitor.warning
    assert "30.0% of the 2,000 that the thresholds were chosen by" in monitor.warning
    assert caplog.messages == [monitor.warning]


def test_the_warning_ends_when_the_texts_are_as_before():
    monitor = DriftMonitor(cascade(0.7), window=WINDOW, false_alarms=ALARMS)
    monitor.add(["last"] * WINDOW)
    assert monitor.warning is not None
    monitor.add(
        ["tier-0", "last", "tier-0", "tier-0", "last", "tier-0", "tier-0", "tier-0", "last", "tier-0"] * 200
    )
    assert monitor.warning is None


def test_nothing_is_said_before_a_whole_window():
    monitor = DriftMonitor(cascade(0.9), window=WINDOW, false_alarms=ALARMS)
    monitor.add(["last"] * (WINDOW - 1))
    assert (monitor.warning, monitor.escalated) == (None, 1.0)
    monitor.add(["last"])
    assert monitor.warning is not None


def test_of_three_tiers_the_middle_one_is_watched_too():
    """As many texts reach the last one as before; half of those that the second one had are not passed on."""
    monitor = DriftMonitor(cascade(0.5, 0.4), window=WINDOW, false_alarms=ALARMS)
    monitor.add((["tier-0"] * 7 + ["tier-1"] * 2 + ["last"]) * 200)
    assert (monitor.escalated, monitor.expected) == pytest.approx((0.1, 0.1))
    assert "tier-0 passed on 30.0% of the last 2,000, and 50.0%" in monitor.warning


def test_a_monitor_tells_what_it_knows():
    monitor = DriftMonitor(cascade(0.75), window=WINDOW, false_alarms=ALARMS)
    assert monitor.to_json() == {"escalated": None, "expected": 0.25, "texts": 0, "warning": None}
    monitor.add(["last", "tier-0", "tier-0", "tier-0", "last"])
    assert monitor.to_json() == {"escalated": 0.4, "expected": 0.25, "texts": 5, "warning": None}


def test_without_false_alarms_nothing_is_compared():
    monitor = DriftMonitor(cascade(0.9), window=WINDOW, false_alarms=0.0)
    monitor.add(["last"] * 3 * WINDOW)
    assert (monitor.warning, monitor.escalated) == (None, 1.0)


@pytest.mark.parametrize(
    "wrong", [{"drift_window": 20}, {"drift_alarms": 1.0}, {"drift_alarms": -0.1}], ids=str
)
def test_settings_that_say_nothing_are_refused(wrong):
    with pytest.raises(UsageError) as caught:
        Settings(**wrong)
    assert caught.value.where == next(iter(wrong))
