from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from edgeroberta.evaluation import swap_rates
from edgeroberta.evaluation.changed_rows import ChangedRows
from edgeroberta.evaluation.limits import GateLimits, SwapLimits
from edgeroberta.evaluation.result import GateVerdict, SwapRate
from edgeroberta.evaluation.swap_rates import SwapFlips
from edgeroberta.evaluation.text_edits import EditedText
from edgeroberta.tasks import Outputs, Problem, Task

GATE = GateLimits(swaps=SwapLimits(0.02))


def flips(full: np.ndarray, ours: np.ndarray, name: str = "gender") -> SwapFlips:
    rows = ChangedRows(name, True, np.arange(len(full)), (EditedText("x"),) * len(full), None)
    return SwapFlips(rows, full, ours, np.arange(len(full)))


def table(both: int, full: int, ours: int, neither: int) -> SwapFlips:
    """Make rows that change in both models, in the baseline alone, in the bundle alone, and in neither."""
    counts = (both, full, ours, neither)
    return flips(np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts))


def rate_of(found: SwapFlips, gate: GateLimits = GATE) -> SwapRate:
    return swap_rates.measure([found], gate, 0)[0]


@pytest.mark.parametrize(("ours", "neither"), [(0, 50), (0, 300), (4, 96), (30, 270)])
def test_where_only_the_bundle_changes_the_upper_end_is_that_of_clopper_and_pearson(ours, neither):
    found = rate_of(table(0, 0, ours, neither)).increase
    exact = stats.binomtest(ours, ours + neither).proportion_ci(0.95, method="exact")
    assert found.high == pytest.approx(exact.high, abs=0.004)


@pytest.mark.parametrize("counts", [(20, 15, 30, 435), (100, 40, 40, 320), (5, 10, 80, 405)])
def test_the_interval_is_about_that_of_the_paired_bootstrap_and_no_narrower(counts):
    found = table(*counts)
    increase = rate_of(found).increase
    differences = found.ours.astype(float) - found.full
    plain = stats.bootstrap(
        (differences,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert increase.mean == pytest.approx(differences.mean())
    assert plain.low - 0.01 < increase.low < plain.low + 0.002
    assert plain.high - 0.002 < increase.high < plain.high + 0.01


@pytest.mark.parametrize("counts", [(0, 5, 25, 170), (10, 12, 13, 165), (3, 2, 16, 179), (50, 30, 4, 116)])
def test_an_interval_without_zero_is_one_that_mcnemar_s_exact_test_would_reject(counts):
    """Where the test is far from its border, both say the same."""
    increase = rate_of(table(*counts)).increase
    p = stats.binomtest(counts[2], counts[1] + counts[2], 0.5).pvalue
    assert (p < 0.02) == (increase.low > 0 or increase.high < 0)


def test_a_model_just_at_the_bound_passes_by_mistake_in_two_and_a_half_percent_at_most():
    """100 draws of 600 texts, of which 3 % change in the bundle alone and 1 % in the baseline alone."""
    random, passed = np.random.default_rng(1), 0
    for _ in range(100):
        kinds = random.choice(4, 600, p=(0.05, 0.01, 0.03, 0.91))
        passed += rate_of(flips(kinds < 2, (kinds == 0) | (kinds == 2))).verdict is GateVerdict.PASS
    assert passed <= 7  # of 100 draws with a chance of 2.5 %, no more than once in 250 times


def test_of_several_lists_the_worst_decides_and_a_fail_shares_its_probability():
    lists = [table(0, 0, 14, 286), *(replace(table(0, 0, 0, 300)) for _ in range(9))]
    many = swap_rates.measure(lists, GATE, 0)
    alone = rate_of(lists[0])
    assert alone.verdict is GateVerdict.FAIL
    assert many[0].verdict is GateVerdict.INCONCLUSIVE
    assert many[0].increase.low < alone.increase.low
    assert many[0].increase.high == alone.increase.high
    assert {each.verdict for each in many[1:]} == {GateVerdict.PASS}
    judged = swap_rates.judge(many, lists, GATE, rows=1000, seed=0)
    assert judged is not None
    assert judged.verdict is GateVerdict.INCONCLUSIVE
    assert judged.rows_needed is not None


def test_lists_that_fail_with_the_worst_are_named():
    lists = [flips(*np.repeat([[False, False], [True, False]], 300, axis=1), name=name) for name in "ab"]
    lists = [replace(each, ours=np.arange(600) < 200 + 50 * n) for n, each in enumerate(lists)]
    judged = swap_rates.judge(swap_rates.measure(lists, GATE, 0), lists, GATE, rows=600, seed=0)
    assert judged is not None
    assert judged.verdict is GateVerdict.FAIL
    assert judged.reason.startswith("swapping b changes the answer")
    assert judged.reason.endswith("(a: too many, too)")


def test_without_a_bound_nothing_is_judged():
    found = [table(0, 0, 100, 0)]
    rates = swap_rates.measure(found, GateLimits(), 0)
    assert swap_rates.judge(rates, found, GateLimits(), rows=100, seed=0) is None


def test_values_change_when_they_move_by_a_fifth_of_the_baseline_s_spread():
    task = Task(Problem.REGRESSION, ("score",))
    full = Outputs.of_texts(np.linspace(0, 10, 101, dtype=np.float32)[:, None])
    fixed = swap_rates.same_answer(task, full)
    assert fixed.tolerance == pytest.approx(0.2 * 5 / 1.349)
    rows = ChangedRows("gender", True, np.array([0, 50]), (EditedText("x"),) * 2, None)
    after = Outputs.of_texts(np.array([[0.7], [5.8]], np.float32))
    assert swap_rates.flips(fixed, rows, full, after).tolist() == [False, True]
    # The bundle's own values are narrow; by how much they may move is the baseline's to say.
    narrow = Outputs.of_texts(full.values / 100)
    after = Outputs.of_texts(np.array([[0.2], [0.2]], np.float32))
    assert swap_rates.flips(fixed, rows, narrow, after).tolist() == [False, False]


def test_several_labels_change_where_any_of_them_does():
    task = Task(Problem.MULTI_LABEL, ("plot", "music"))
    before = Outputs.of_texts(np.array([[2, -2], [2, 2], [-1, -1]], np.float32))
    rows = ChangedRows("gender", True, np.array([0, 2]), (EditedText("x"),) * 2, None)
    after = Outputs.of_texts(np.array([[3, -1], [-1, 1]], np.float32))
    assert swap_rates.same_answer(task, before) is task
    assert swap_rates.flips(task, rows, before, after).tolist() == [False, True]


def test_embeddings_change_where_their_cosine_is_below_that_of_the_same_answer():
    task = Task(Problem.EMBEDDING, (), dimensions=2, pooling="mean")
    before = Outputs.of_texts(np.array([[1, 0], [0, 1], [1, 0]], np.float32))
    rows = ChangedRows("gender", True, np.array([0, 1, 2]), (EditedText("x"),) * 3, None)
    angles = np.arccos([0.99, 0.97, 0.97])
    turned = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    turned[1] = turned[1][::-1]
    after = Outputs.of_texts(turned.astype(np.float32))
    assert swap_rates.flips(task, rows, before, after).tolist() == [False, True, True]
    looser = replace(task, min_cosine=0.95)
    assert swap_rates.flips(looser, rows, before, after).tolist() == [False, False, False]
    # Of a pair both embeddings must stay what they were.
    pair = Outputs(np.array([[1, 0], [0, 1]], np.float32), np.array([0, 2], np.int64))
    other = Outputs(np.array([[1, 0], [1, 0]], np.float32), np.array([0, 2], np.int64))
    one = ChangedRows("gender", True, np.array([0]), (EditedText("x"),), (EditedText("y"),))
    assert swap_rates.flips(task, one, pair, pair).tolist() == [False]
    assert swap_rates.flips(task, one, pair, other).tolist() == [True]
