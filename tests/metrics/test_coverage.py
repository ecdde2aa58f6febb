"""Do the intervals hold what they promise? Few draws here; ``python -m benchmarks.coverage`` makes many."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import coverage
from edgeroberta.metrics import BootstrapOptions, agreement_interval, lead_interval
from edgeroberta.tasks import Problem, Task

CASES = {case.name: case for case in coverage.cases()}
#: Rates of damage: of ten positives one goes, which two of five draws do not show.
QUICK = {
    "accuracy, losses": 0.0112,
    "micro F1, 10 positives, missed": 0.1,
    "macro F1, 10 positives of the rare label": 0.1,
    "Matthews, 15 positives": 0.1,
}


def _most(promised: float, draws: int) -> float:
    """The share that as many draws exceed once in a thousand when they have the promised one."""
    return promised + 3.1 * float(np.sqrt(promised * (1 - promised) / draws))


@pytest.mark.parametrize("name", QUICK)
def test_few_losses_of_what_is_rare_are_not_taken_for_none(name, monkeypatch):
    monkeypatch.setattr(coverage, "TRUTH", 30_000)
    found = coverage.simulate(CASES[name], QUICK[name], draws=60, samples=150)
    assert found.loss > 0.009
    assert found.above <= _most(0.025, 60)
    assert found.below <= _most(0.025, 60)


@pytest.mark.parametrize(
    ("name", "rate"), [("pearson, some", 0.023), ("pearson, outliers", 0.3), ("spearman, some", 0.022)]
)
def test_a_correlation_that_few_rows_decide_is_not_taken_for_certain(name, rate, monkeypatch):
    monkeypatch.setattr(coverage, "TRUTH", 30_000)
    found = coverage.simulate(CASES[name], rate, draws=20, samples=120)
    assert found.above <= _most(0.025, 20)
    assert found.below <= _most(0.025, 20)


def test_a_model_that_lost_nothing_passes_and_one_that_lost_three_times_as_much_fails(monkeypatch):
    monkeypatch.setattr(coverage, "TRUTH", 30_000)
    case = CASES["accuracy, losses"]
    assert coverage.simulate(case, 0.0, draws=20, samples=200).passed == 1
    lost = coverage.simulate(case, 0.034, draws=50, samples=200)
    assert lost.passed == 0
    assert lost.failed > 0.9


@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_share_and_a_lead_lie_within_their_intervals_as_often_as_promised(share):
    task, rng = Task(Problem.SINGLE_LABEL, ("a", "b")), np.random.default_rng(0)
    beyond = np.zeros(4, int)
    for seed in range(80):
        # They agree on this share of rows, and the first is right where the second is, and on 2 % more.
        same, lucky = rng.random(150) < share, rng.random(150) < 0.02
        draws = BootstrapOptions(seed=seed, samples=200)
        of_share = agreement_interval(task, np.eye(2)[np.zeros(150, int)], np.eye(2)[1 - same], draws)
        of_lead = lead_interval(same | lucky, same, draws)
        lead = 0.02 * (1 - share)
        beyond += [of_share.low > share, of_share.high < share, of_lead.low > lead, of_lead.high < lead]
    assert (beyond / 80 <= _most(0.025, 80)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_pass_is_wrong_in_hardly_more_than_one_of_forty(name):
    case = CASES[name]
    found = coverage.simulate(case, case.rate(case.allowed), draws=1000, samples=500)
    assert found.above <= _most(coverage.BAR, 1000)
    assert found.below <= _most(coverage.BAR, 1000)
    worse = coverage.simulate(case, case.rate(3 * case.allowed), draws=200, samples=500)
    assert worse.passed == 0
