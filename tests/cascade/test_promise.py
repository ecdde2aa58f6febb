"""Chosen again and again, thresholds keep less than was promised as seldom as it was said."""

import numpy as np
import pytest
from cascade.population import TASK, Population
from scipy import stats

from edgeroberta.cascade import TierEvidence, choose
from edgeroberta.cascade.evidence import Asked
from edgeroberta.cascade.path import Thresholds

DRAWS, TEXTS, PROMISE = 60, 20_000, 0.95


def agreement(thresholds, asked):
    """Return the share of all texts that get the last tier's answer."""
    who = Thresholds(thresholds).answering(asked.confidence)
    differs = np.vstack([asked.differs, np.zeros(len(asked), bool)])
    return 1 - differs[who, np.arange(len(asked))].mean()


@pytest.mark.parametrize(
    "population", [Population((2.0,), (1.0, 4.0)), Population((3.0, 1.5), (1.0, 3.0, 9.0))]
)
def test_as_few_choices_keep_too_little_as_the_confidence_says(population):
    rng = np.random.default_rng(0)
    texts, labels = population.draw(rng, TEXTS)
    wrong = hoped = 0
    for _ in range(DRAWS):
        before, fresh = rng.integers(0, TEXTS, 300), rng.integers(0, TEXTS, 500)
        tiers = [
            TierEvidence(str(number), tier[before], tier[fresh], seconds)
            for number, (tier, seconds) in enumerate(zip(texts, population.seconds, strict=True))
        ]
        found = choose(TASK, tiers, labels=labels[before], agreement=PROMISE)
        asked = Asked.of(TASK, texts, [tier.calibration for tier in found.tiers[:-1]])
        wrong += agreement(tuple(tier.threshold for tier in found.tiers[:-1]), asked) < PROMISE
        measured = [point for point in found.front if point.agreement >= PROMISE][-1]
        hoped += agreement(measured.thresholds, asked) < PROMISE
    # So many would come up once in a thousand times if more than one in twenty were wrong.
    assert wrong <= stats.binom.ppf(0.999, DRAWS, 0.05)
    assert hoped > stats.binom.ppf(0.999, DRAWS, 0.05)
