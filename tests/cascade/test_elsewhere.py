"""What chosen thresholds come to on another engine."""

from dataclasses import replace

import numpy as np
import pytest
from cascade.population import TASK, Population

from edgeroberta.cascade import TierEvidence, choose, measure, with_tolerance
from edgeroberta.tasks import Outputs, Problem, Task


def test_on_the_same_outputs_thresholds_come_to_what_was_chosen():
    population = Population((2.0, 1.0), (1.0, 3.0, 10.0))
    tiers, labels, _ = population.evidence(np.random.default_rng(0), 2000, 2000)
    takes = np.arange(2000) % 5 > 0
    tiers[0] = replace(tiers[0], takes_fresh=takes)
    found = choose(TASK, tiers, labels=labels, agreement=0.98)
    assert found.kept
    point = measure(TASK, found, [tier.fresh for tier in tiers], [takes, None])
    assert point.agreement == found.measured
    assert point.shares == tuple(tier.share for tier in found.tiers)
    assert point.kept
    swapped = measure(TASK, found, [tiers[2].fresh, tiers[1].fresh, tiers[0].fresh])
    assert swapped.agreement < 0.98
    assert not swapped.kept


def test_a_number_is_the_same_within_the_tolerance_of_the_choice():
    """With a fifth of the spread of the fresh values all would be the same."""
    rng = np.random.default_rng(0)
    last = rng.normal(size=(1000, 1))
    tiers = [
        TierEvidence("first", numbers(last), numbers(100 * last + 1), 1.0),
        TierEvidence("last", numbers(last), numbers(100 * last), 10.0),
    ]
    task = Task(Problem.REGRESSION, ("score",))
    found = choose(task, tiers, labels=None, agreement=0.5)
    assert found.tiers[0].agreement_alone == 0
    sure = replace(found, tiers=(replace(found.tiers[0], threshold=-np.inf), found.tiers[1]))
    task = with_tolerance(task, tiers[1].calibration)
    assert measure(task, sure, [tier.fresh for tier in tiers]).agreement == pytest.approx(0)


def numbers(values):
    return Outputs.of_texts(np.asarray(values, np.float32))
