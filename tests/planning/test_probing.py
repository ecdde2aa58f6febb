"""Which of several candidates is made."""

from __future__ import annotations

from dataclasses import replace

from edgeroberta.metrics import Interval
from edgeroberta.planning.candidates import Candidate, Predicted
from edgeroberta.planning.probing import Probe, pick, told

SLOW = Candidate((0, 1), (), None, Predicted(0.0020, 0.004, 3.0, 10e6), 0.8, True)
FAST = Candidate((0,), (), None, Predicted(0.0012, 0.003, 5.0, 9e6), 0.7, True)
LIKE_SLOW = replace(SLOW, layers=(0, 1, 2), predicted=Predicted(0.00195, 0.004, 3.0, 10e6))
BEST = Probe(SLOW, 0.95, 0.9)
TIED, WORSE = Interval(0.01, -0.005, 0.025), Interval(0.03, 0.01, 0.05)


def test_the_fastest_of_those_that_are_tied_with_the_best_is_made() -> None:
    assert pick((BEST, Probe(FAST, 0.94, 0.9, TIED))).candidate is FAST


def test_a_candidate_that_is_behind_beyond_doubt_is_not_made_however_fast() -> None:
    probes = (BEST, Probe(FAST, 0.92, 0.9, WORSE))
    assert pick(probes).candidate is SLOW
    assert told(probes, SLOW) is None


def test_of_equally_fast_ones_the_one_with_more_agreement_is_made() -> None:
    assert pick((BEST, Probe(LIKE_SLOW, 0.94, 0.9, TIED))).candidate is SLOW


def test_ties_are_named() -> None:
    probes = (BEST, Probe(FAST, 0.94, 0.9, TIED), Probe(LIKE_SLOW, 0.9, 0.9, WORSE))
    assert told(probes, FAST) == (
        "tied, since the validation texts cannot tell them apart: 2 layers and 1 layer; "
        "1 layer is made of these"
    )
