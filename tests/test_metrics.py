from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.metrics import (
    Interval,
    agreement,
    all_metrics,
    calibration_error,
    paired_bootstrap,
    rows_to_decide,
    score,
    unseen,
)
from edgeroberta.tasks import Problem, Task

SINGLE = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
MULTI = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
VALUE = Task(Problem.REGRESSION, ("score",))


def _one_hot(ids: list[int], width: int = 3) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[ids]


def test_accuracy_and_macro_f1_of_a_case_counted_by_hand() -> None:
    # Label a: 1 hit, 2 found, 1 wanted, F1 2/3; b: 1 hit, 1 found, 2 wanted, F1 2/3; c: 1, 1, 1, F1 1.
    metrics = all_metrics(SINGLE, _one_hot([0, 1, 0, 2]), np.array([0, 1, 1, 2]))
    assert metrics == pytest.approx({"accuracy": 0.75, "macro_f1": (2 / 3 + 2 / 3 + 1) / 3})


def test_macro_f1_leaves_out_a_label_that_neither_occurs_nor_is_predicted() -> None:
    assert all_metrics(SINGLE, _one_hot([0, 1]), np.array([0, 1]))["macro_f1"] == 1


def test_multi_label_metrics_of_a_case_counted_by_hand() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]], np.float32)
    logits = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1]], np.float32)
    metrics = all_metrics(MULTI, logits, labels)
    # 2 hits, 3 found, 3 wanted; a: F1 1, b: 1 hit 1 found 2 wanted, c: no hit.
    assert metrics == pytest.approx(
        {"micro_f1": 4 / 6, "macro_f1": (1 + 2 / 3 + 0) / 3, "subset_accuracy": 1 / 3}
    )


def test_regression_metrics_of_a_case_counted_by_hand() -> None:
    labels = np.array([1, 2, 3, 4], np.float32)
    metrics = all_metrics(VALUE, np.array([[1], [4], [9], [16]], np.float32), labels)
    expected = np.corrcoef([1, 4, 9, 16], labels)[0, 1]
    rmse = np.sqrt((0 + 4 + 36 + 144) / 4)
    assert metrics == pytest.approx({"pearson": expected, "spearman": 1.0, "rmse": rmse})


def test_spearman_gives_equal_values_their_mean_rank() -> None:
    metrics = all_metrics(VALUE, np.array([[1], [1], [2]], np.float32), np.array([1, 2, 3], np.float32))
    assert metrics["spearman"] == pytest.approx(np.corrcoef([0.5, 0.5, 2], [0, 1, 2])[0, 1])


def test_a_constant_prediction_correlates_with_nothing() -> None:
    assert score(VALUE, np.full((5, 1), 0.1, np.float32), np.arange(5, dtype=np.float32)) == 0


def test_a_small_spread_on_a_large_value_still_correlates() -> None:
    labels = np.arange(100, dtype=np.float32)
    assert score(VALUE, 4096 + labels[:, None] / 64, labels) == pytest.approx(1)


def test_f1_is_zero_when_nothing_is_wanted_and_nothing_found() -> None:
    assert score(MULTI, np.full((2, 3), -1, np.float32), np.zeros((2, 3), np.float32)) == 0


def test_agreement_counts_rows_with_the_same_label() -> None:
    assert agreement(SINGLE, _one_hot([0, 1, 2, 2]), _one_hot([0, 1, 2, 0])) == 0.75


def test_multi_label_agreement_wants_the_whole_set_alike() -> None:
    a = np.array([[1, 1, -1], [1, -1, -1]], np.float32)
    b = np.array([[1, -1, -1], [2, -3, -1]], np.float32)
    assert agreement(MULTI, a, b) == 0.5


def test_regression_agreement_allows_five_percent_of_the_references_range() -> None:
    reference = np.array([[0], [10], [5], [5]], np.float32)
    other = np.array([[0.4], [9.6], [5.6], [5]], np.float32)
    assert agreement(VALUE, reference, other) == 0.75


@pytest.mark.parametrize("task", [SINGLE, MULTI, VALUE], ids=lambda task: task.metric)
def test_bootstrap_agrees_with_drawing_one_sample_at_a_time(task: Task) -> None:
    rng = np.random.default_rng(5)
    shape = (200, task.num_outputs)
    ref = rng.normal(size=shape).astype(np.float32)
    new = (ref + rng.normal(size=shape)).astype(np.float32)
    labels = task.decide((ref + rng.normal(size=shape)).astype(np.float32))
    labels = labels if task is SINGLE else labels.astype(np.float32)
    interval = paired_bootstrap(task, ref, new, labels, samples=500, seed=9)
    drawn = np.random.default_rng(9).integers(0, 200, size=(500, 200), dtype=np.int64)
    drops = [score(task, ref[i], labels[i]) - score(task, new[i], labels[i]) for i in drawn]
    assert interval.mean == pytest.approx(score(task, ref, labels) - score(task, new, labels))
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(drops, [0.025, 0.975])))


def test_bootstrap_interval_is_as_wide_as_theory_says() -> None:
    # 10 % of 4,000 rows are lost and 6 % won: the standard error is sqrt((0.16 - 0.04²) / 4000).
    ref, new = np.zeros(4000, int), np.zeros(4000, int)
    new[:400], ref[400:640] = 1, 1
    interval = paired_bootstrap(SINGLE, _one_hot(list(ref)), _one_hot(list(new)), np.zeros(4000, int), seed=0)
    error = np.sqrt((0.16 - 0.04**2) / 4000)
    assert interval.mean == pytest.approx(0.04)
    assert interval.low == pytest.approx(0.04 - 1.96 * error, abs=0.1 * error)
    assert interval.high == pytest.approx(0.04 + 1.96 * error, abs=0.1 * error)


def test_bootstrap_is_the_same_for_the_same_seed_and_moves_with_it() -> None:
    rng = np.random.default_rng(0)
    ref, new, labels = _one_hot(list(rng.integers(0, 3, 99))), _one_hot([0] * 99), rng.integers(0, 3, 99)
    first = paired_bootstrap(SINGLE, ref, new, labels, seed=1)
    assert paired_bootstrap(SINGLE, ref, new, labels, seed=1) == first
    assert paired_bootstrap(SINGLE, ref, new, labels, seed=2) != first


def test_bootstrap_in_several_blocks_gives_one_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    ref, labels = _one_hot(list(rng.integers(0, 3, 50))), rng.integers(0, 3, 50)
    whole = paired_bootstrap(SINGLE, ref, _one_hot([1] * 50), labels, samples=100, seed=1)
    monkeypatch.setattr("edgeroberta.metrics._CELLS_PER_BLOCK", 50 * 7)
    assert paired_bootstrap(SINGLE, ref, _one_hot([1] * 50), labels, samples=100, seed=1) == whole


@pytest.mark.parametrize("rows", [1, 5, 400, 100_000])
def test_what_no_row_shows_is_bounded_as_clopper_and_pearson_have_it(rows: int) -> None:
    # At this share of changed rows, a sample of so many shows none of them once in forty times.
    assert (1 - unseen(rows)) ** rows == pytest.approx(0.025)
    assert unseen(rows) <= 3.69 / rows


@pytest.mark.parametrize("task", [SINGLE, MULTI, VALUE], ids=lambda task: task.metric)
def test_models_that_agree_on_few_rows_are_not_known_to_agree(task: Task) -> None:
    logits = np.random.default_rng(0).normal(size=(5, task.num_outputs)).astype(np.float32)
    labels = task.decide(logits) if task is SINGLE else task.decide(logits).astype(np.float32)
    interval = paired_bootstrap(task, logits, logits, labels, seed=0)
    assert (interval.mean, interval.low) == (0, 0)
    assert interval.high == pytest.approx(unseen(5))
    wider = paired_bootstrap(task, logits, logits, labels, seed=0, confidence=0.99)
    assert wider.high == pytest.approx(unseen(5, 0.99))
    assert wider.high > interval.high


def test_a_row_won_does_not_make_few_rows_certain() -> None:
    """The bootstrap's samples of a single gain are all gains."""
    ref, new = _one_hot([1, 0, 0, 0, 0]), _one_hot([0, 0, 0, 0, 0])
    interval = paired_bootstrap(SINGLE, ref, new, np.zeros(5, int), seed=0)
    assert interval.mean == pytest.approx(-0.2)
    assert interval.high == pytest.approx(unseen(5) - 0.2)


def test_agreeing_rows_decide_as_soon_as_there_are_enough() -> None:
    def agreeing(rows: int) -> Interval:
        logits = _one_hot([0] * rows)
        return paired_bootstrap(SINGLE, logits, logits, np.zeros(rows, int), samples=10, seed=0)

    needed = rows_to_decide(agreeing(5), 5, 0.01)
    assert needed == 368
    assert agreeing(needed - 1).high > 0.01 >= agreeing(needed).high
    assert rows_to_decide(agreeing(5), 5, 0.0) > 5


def test_rows_to_decide_grows_with_the_square_of_the_missing_precision() -> None:
    # The upper half-width 0.02 must shrink to the distance 0.005: 4² times the rows.
    assert rows_to_decide(Interval(0.005, -0.015, 0.025), 1000, 0.01) == 16000
    # Above the threshold the lower half-width counts: 0.03 to 0.01, 3² times.
    assert rows_to_decide(Interval(0.02, -0.01, 0.04), 1000, 0.01) == pytest.approx(9000, abs=1)


def test_rows_to_decide_is_finite_when_the_drop_is_the_threshold() -> None:
    assert rows_to_decide(Interval(0.01, 0.0, 0.02), 100, 0.01) == 400


def test_rows_to_decide_asks_for_no_more_when_all_is_decided() -> None:
    assert rows_to_decide(Interval(0.001, 0.0, 0.002), 100, 0.01) == 100
    assert rows_to_decide(Interval(0.03, 0.02, 0.04), 100, 0.01) == 100


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "there are no rows to measure on"),
        (
            np.zeros((2, 2)),
            np.zeros(2, int),
            "the model gave logits of shape (2, 2) for 2 rows and 3 outputs",
        ),
        (
            np.array([[0, 0, 0], [0, np.nan, 0]]),
            np.zeros(2, int),
            "the model's logits are not finite, first for row 2",
        ),
    ],
)
def test_logits_that_cannot_be_scored_are_refused(logits: Any, labels: Any, message: str) -> None:
    with pytest.raises(EdgeRobertaError) as caught:
        score(SINGLE, logits, labels)
    assert str(caught.value) == message
    assert caught.value.exit_code == 1


TWO = Task(Problem.SINGLE_LABEL, ("a", "b"))


def _sure(*shares: float) -> np.ndarray:
    """Logits whose softmax gives the first of two labels these probabilities."""
    return np.array([[np.log(share / (1 - share)), 0.0] for share in shares])


def test_calibration_of_a_case_counted_by_hand() -> None:
    # Four answers at 0.75, half of them right: a gap of 0.25. One at 0.9, right: a gap of 0.1.
    logits = _sure(0.75, 0.75, 0.75, 0.75, 0.9)
    assert calibration_error(TWO, logits, np.array([0, 0, 1, 1, 0])) == pytest.approx((4 * 0.25 + 0.1) / 5)


def test_calibration_is_of_the_answer_whichever_label_it_is() -> None:
    # 0.25 for the first label is 0.75 for the second, and three of four are right.
    assert calibration_error(TWO, _sure(0.25, 0.25, 0.75, 0.75), np.array([1, 1, 0, 1])) == pytest.approx(0)


def test_gaps_of_different_bins_do_not_cancel_out_and_those_of_one_bin_do() -> None:
    # 0.95 wrong and 0.6 right: -0.95 and +0.4. In a single bin they are -0.55 together.
    logits, labels = _sure(0.95, 0.6), np.array([1, 0])
    assert calibration_error(TWO, logits, labels) == pytest.approx((0.95 + 0.4) / 2)
    assert calibration_error(TWO, logits, labels, bins=1) == pytest.approx(0.55 / 2)


def test_a_bin_holds_its_upper_edge() -> None:
    # With four bins, 0.75 is in the third, with 0.6: +0.25 and -0.6.
    logits, labels = _sure(0.6, 0.75), np.array([1, 0])
    assert calibration_error(TWO, logits, labels, bins=4) == pytest.approx(0.35 / 2)


def test_calibration_of_several_labels_is_the_mean_over_them() -> None:
    # a: 0.75 twice, true once; b: 0.25 twice, never true; c: 0.5 twice, true once.
    logits = np.array([[np.log(3), -np.log(3), 0.0]] * 2)
    labels = np.array([[1, 0, 1], [0, 0, 0]], np.float32)
    assert calibration_error(MULTI, logits, labels) == pytest.approx((0.25 + 0.25 + 0) / 3)


def test_extreme_logits_have_a_calibration_and_a_regression_has_none() -> None:
    assert calibration_error(TWO, np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([0, 0])) == 0.5
    assert calibration_error(MULTI, np.array([[1e4, -1e4, -1e4]]), np.array([[1, 0, 0]])) == 0
    assert calibration_error(VALUE, np.array([[0.5]]), np.array([0.5])) is None
