from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgeroberta.metrics import (
    BootstrapOptions,
    agreement_interval,
    drop_interval,
    lead_interval,
    rows_to_decide,
    score,
)
from edgeroberta.tasks import Problem, Task

SINGLE = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
MULTI = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
VALUE = Task(Problem.REGRESSION, ("score",))
CASES = [(task, name) for task in (SINGLE, MULTI, VALUE) for name in task.kind.metrics]
every_metric = pytest.mark.parametrize(
    ("task", "metric"), CASES, ids=[f"{task.problem.name}-{name}" for task, name in CASES]
)


def _one_hot(ids: list[int], width: int = 3) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[ids]


def _models(task: Task, rows: int, *, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a model, of one that is worse, and labels."""
    rng = np.random.default_rng(seed)
    shape = (rows, task.num_outputs)
    truth = rng.normal(size=shape)
    full = (truth + 0.3 * rng.normal(size=shape)).astype(np.float32)
    ours = (full + 0.5 * rng.normal(size=shape)).astype(np.float32)
    return full, ours, task.decide(truth.astype(np.float32))


@every_metric
def test_the_mean_is_the_drop_on_the_rows_as_they_are(task, metric):
    full, ours, labels = _models(task, 150)
    found = drop_interval(task, full, ours, labels, BootstrapOptions(samples=200), metric=metric)
    expected = score(task, full, labels, metric=metric) - score(task, ours, labels, metric=metric)
    assert found.mean == pytest.approx(expected)
    assert found.low < found.mean < found.high


@every_metric
def test_the_interval_of_many_rows_is_that_of_the_bootstrap(task, metric):
    full, ours, labels = _models(task, 1500)
    found = drop_interval(task, full, ours, labels, BootstrapOptions(samples=600), metric=metric)

    def drop(rows: np.ndarray) -> float:
        before, after = (score(task, each[rows], labels[rows], metric=metric) for each in (full, ours))
        return before - after

    rows = np.arange(1500)
    drawn = stats.bootstrap((rows,), drop, n_resamples=200, vectorized=False, rng=9, method="percentile")
    half = 1.96 * drawn.standard_error
    assert found.high - found.mean == pytest.approx(half, rel=0.7)
    assert found.mean - found.low == pytest.approx(half, rel=0.7)


def test_an_interval_is_as_wide_as_theory_says():
    # 10 % of 4,000 rows are lost and 6 % won: the standard error is sqrt((0.16 - 0.04²) / 4000).
    full, ours = np.zeros(4000, int), np.zeros(4000, int)
    ours[:400], full[400:640] = 1, 1
    found = drop_interval(
        SINGLE, _one_hot(list(full)), _one_hot(list(ours)), np.zeros(4000, int), BootstrapOptions()
    )
    error = np.sqrt((0.16 - 0.04**2) / 4000)
    assert found.mean == pytest.approx(0.04)
    assert found.low == pytest.approx(0.04 - 1.96 * error, abs=0.12 * error)
    assert found.high == pytest.approx(0.04 + 1.96 * error, abs=0.12 * error)


def test_an_interval_is_the_same_for_the_same_seed_and_moves_with_it():
    full, ours, labels = _models(SINGLE, 99)
    first = drop_interval(SINGLE, full, ours, labels, BootstrapOptions(seed=1))
    assert drop_interval(SINGLE, full, ours, labels, BootstrapOptions(seed=1)) == first
    assert drop_interval(SINGLE, full, ours, labels, BootstrapOptions(seed=2)) != first


@pytest.mark.parametrize("rows", [1, 5, 400, 10_000])
def test_what_no_row_shows_is_bounded_as_clopper_and_pearson_have_it(rows):
    logits, labels = _one_hot([0] * rows), np.zeros(rows, int)
    found = drop_interval(SINGLE, logits, logits, labels, BootstrapOptions())
    # At this share of changed rows, a sample of so many shows none of them once in forty times.
    bound = 1 - 0.025 ** (1 / rows)
    assert found.mean == 0
    assert found.high == pytest.approx(bound, rel=0.04)
    assert found.low == pytest.approx(-bound, rel=0.04)
    same = agreement_interval(SINGLE, logits, logits, BootstrapOptions())
    assert (same.mean, same.high) == (1, 1)
    assert same.low == pytest.approx(1 - bound, rel=0.04, abs=0.02)


@pytest.mark.parametrize(("same", "rows"), [(97, 100), (380, 400), (1, 20), (0, 30), (12, 12), (500, 1000)])
def test_the_interval_of_an_agreement_is_that_of_clopper_and_pearson(same, rows):
    ours = _one_hot([0] * same + [1] * (rows - same))
    found = agreement_interval(SINGLE, _one_hot([0] * rows), ours, BootstrapOptions(samples=20_000))
    assert found.mean == same / rows
    exact = stats.binomtest(same, rows).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=0.04, abs=0.002)


@every_metric
def test_models_that_agree_on_few_rows_are_not_known_to_agree(task, metric):
    full, _, labels = _models(task, 8)
    found = drop_interval(task, full, full, labels, BootstrapOptions(), metric=metric)
    assert found.mean == 0
    assert found.high > 0.1
    wider = drop_interval(task, full, full, labels, BootstrapOptions(confidence=0.99), metric=metric)
    assert wider.high > found.high or found.high == 2  # two correlations differ by no more


def test_a_row_won_does_not_make_few_rows_certain():
    """Samples of a single gain without a row that was not seen are all gains."""
    full, ours = _one_hot([1, 0, 0, 0, 0]), _one_hot([0, 0, 0, 0, 0])
    found = drop_interval(SINGLE, full, ours, np.zeros(5, int), BootstrapOptions())
    assert found.mean == pytest.approx(-0.2)
    assert found.high > 0.2


@every_metric
def test_ten_texts_fifty_times_over_say_as_much_as_ten(task, metric):
    full, ours, labels = _models(task, 10)
    once = drop_interval(task, full, ours, labels, BootstrapOptions(samples=1000), metric=metric)
    rows = np.repeat(np.arange(10), 50)
    draws = BootstrapOptions(groups=rows * 7, samples=1000)
    often = drop_interval(task, full[rows], ours[rows], labels[rows], draws, metric=metric)
    assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=0.03)
    alone = drop_interval(
        task, full[rows], ours[rows], labels[rows], BootstrapOptions(samples=200), metric=metric
    )
    assert alone.high - alone.low < (often.high - often.low) / 2
    same = agreement_interval(task, full, ours, BootstrapOptions())
    assert agreement_interval(task, full[rows], ours[rows], draws).low == pytest.approx(same.low, abs=0.01)


def test_more_rows_of_the_same_kinds_are_what_scale_thinks_of():
    full, ours, labels = _models(SINGLE, 60)
    rows = np.tile(np.arange(60), 4)
    real = drop_interval(SINGLE, full[rows], ours[rows], labels[rows], BootstrapOptions())
    thought = drop_interval(SINGLE, full, ours, labels, BootstrapOptions(scale=4))
    assert (thought.low, thought.high) == pytest.approx((real.low, real.high), abs=0.01)


def test_the_rows_that_would_decide_are_found():
    assert rows_to_decide(lambda scale: scale >= 7, 100) == pytest.approx(700, rel=0.04)
    assert rows_to_decide(lambda scale: scale > 1, 100) == pytest.approx(102, abs=2)
    assert rows_to_decide(lambda scale: False, 100) is None


def test_how_much_one_model_leads_is_judged_on_the_rows_on_which_they_differ():
    first, second = np.ones(1000, bool), np.ones(1000, bool)
    first[:40], second[:65] = False, False
    # Nested mistakes: 25 rows decide, and none says the contrary.
    found = lead_interval(first, second, BootstrapOptions())
    assert found.mean == pytest.approx(0.025)
    # Clopper and Pearson of 25 in 1,000: 1.6 to 3.7 %, and as much less as one row not seen may turn it.
    assert (found.low, found.high) == pytest.approx((0.0145, 0.037), abs=0.002)
    rng = np.random.default_rng(0)
    apart = lead_interval(rng.permutation(first), second, BootstrapOptions())
    assert apart.high - apart.low > 1.5 * (found.high - found.low)
    assert apart.low < 0.025 - 0.015


def test_one_row_that_decides_a_correlation_makes_it_uncertain_unless_ranks_are_taken():
    full, ours, labels = _models(VALUE, 200)
    before = drop_interval(VALUE, full, ours, labels, BootstrapOptions(samples=500)).high
    ranked = drop_interval(VALUE, full, ours, labels, BootstrapOptions(samples=500), metric="spearman").high
    labels[7], full[7], ours[7] = 500.0, 500.0, 500.0
    assert drop_interval(VALUE, full, ours, labels, BootstrapOptions(samples=500)).high > 2 * before
    again = drop_interval(VALUE, full, ours, labels, BootstrapOptions(samples=500), metric="spearman").high
    assert again == pytest.approx(ranked, rel=0.2)
