"""Labels that mean nothing, copies and leaks: what a gate on them would prove is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeroberta.data.rows import Rows
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, Judgement
from edgeroberta.evaluation.soundness import DataSoundness, association, examine
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
FIVE = Task(Problem.SINGLE_LABEL, ("a", "b", "c", "d", "e"))
TOPICS = Task(Problem.MULTI_LABEL, ("billing", "delivery", "quality"))
SCORE = Task(Problem.REGRESSION, ("score",))
PASSED = Judgement(GateVerdict.PASS, "little is lost")


def rows_of(labels: Any, texts: list[str] | None = None) -> Rows:
    labels = np.asarray(labels)
    return Rows(tuple(texts or [f"text {i}" for i in range(len(labels))]), None, labels, "x.csv")


def answering(labels: Any, share: float, *, count: int, seed: int = 0) -> np.ndarray:
    """Logits that are right on about a share of the rows, and answer at random on the others."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels)
    said = np.where(rng.random(len(labels)) < share, labels, rng.integers(0, count, len(labels)))
    return np.eye(count, dtype=np.float32)[said]


def drawn(count: int, rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count, rows)


@pytest.mark.parametrize("seed", range(5))
def test_labels_that_a_model_answers_well_are_sound(seed):
    for task, count in ((TWO, 2), (FIVE, 5)):
        labels = drawn(count, 200, seed)
        assert (
            examine(task, answering(labels, 0.6, count=count, seed=seed), rows_of(labels), GateLimits())
            == DataSoundness()
        )


def test_shuffled_labels_do_not_measure_the_model():
    labels = drawn(2, 500)
    shuffled = np.random.default_rng(3).permutation(labels)
    found = examine(TWO, answering(labels, 0.9, count=2), rows_of(shuffled), GateLimits())
    assert found.meaningless is not None
    assert "the baseline's answers fit them no better than by chance (acc" in found.meaningless
    assert found.warnings == (
        f"the labels do not measure this model: {found.meaningless}; they may be of other rows, of another "
        "model, or ids in another order (--label-format)",
    )
    judged = found.applied(PASSED)
    assert judged == Judgement(
        GateVerdict.INCONCLUSIVE, f"the labels do not measure this model: {found.meaningless}"
    )
    failed = Judgement(GateVerdict.FAIL, "too few answers agree")
    assert found.applied(failed) == failed
    assert DataSoundness().applied(PASSED) == PASSED


@pytest.mark.parametrize("seed", range(20))
def test_chance_alone_is_seldom_taken_for_knowledge(seed):
    """97.5 % of all shuffles are found; these twenty are."""
    labels = drawn(5, 300, seed)
    shuffled = np.random.default_rng(seed + 50).permutation(labels)
    assert (
        examine(FIVE, answering(labels, 0.9, count=5), rows_of(shuffled), GateLimits()).meaningless
        is not None
    )


def test_inverted_labels_are_told_with_their_order():
    labels = drawn(2, 500)
    found = examine(TWO, answering(labels, 0.4, count=2), rows_of(1 - labels), GateLimits())
    assert found.meaningless == (
        "accuracy would be 68.0%, not 32.0%, if labels of the data stood for others of the model: "
        "'positive' for 'negative', 'negative' for 'positive'"
    )


def test_an_order_that_only_some_labels_are_in_is_told():
    labels = drawn(5, 1000)
    of_data = np.array([0, 2, 3, 1, 4])[labels]  # the data's c is the model's b, and so on
    found = examine(FIVE, answering(labels, 0.8, count=5), rows_of(of_data), GateLimits())
    assert found.meaningless.endswith("of the model: 'c' for 'b', 'd' for 'c', 'b' for 'd'")
    assert (
        examine(FIVE, answering(labels, 0.8, count=5), rows_of(of_data), GateLimits(max_drop=1)).meaningless
        is None
    )


def test_a_model_that_always_says_the_same_is_not_measured():
    labels = drawn(2, 300)
    found = examine(TWO, np.tile(np.float32([0, 1]), (300, 1)), rows_of(labels), GateLimits())
    assert found.meaningless is not None


def test_a_model_no_better_than_the_majority_is_told_and_may_pass():
    labels = (np.arange(400) % 20 == 0).astype(int)  # 5 % positive
    said = labels.copy()
    said[:130] = 0
    said[1:15] = 1  # finds most, and errs as often as it finds
    found = examine(TWO, np.eye(2, dtype=np.float32)[said], rows_of(labels), GateLimits())
    assert found.meaningless is None
    assert found.warnings == (
        "the baseline's accuracy of 94.8% is not beyond doubt better than answering 'negative' to "
        "every text (95.0%): on these rows it says little; others can be asked for (--metric)",
    )


def hot(rows: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((rows, 3)) < (0.2, 0.5, 0.7)).astype(np.float32)


def test_several_labels_per_text_shuffled_inverted_or_in_another_order():
    labels = hot(300)
    logits = np.where(np.random.default_rng(1).random(labels.shape) < 0.9, labels, 1 - labels) * 2 - 1
    assert examine(TOPICS, logits, rows_of(labels), GateLimits()) == DataSoundness()
    for wrong, told in (
        (np.random.default_rng(2).permutation(labels), "no better than by chance"),
        (1 - labels, "speak against them"),
        (labels[:, [1, 2, 0]], "'quality' for 'billing', 'billing' for 'delivery', 'delivery' for 'quality'"),
    ):
        found = examine(TOPICS, logits, rows_of(wrong), GateLimits())
        assert told in str(found.meaningless)


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (lambda values: values, None),
        (lambda values: -values, "speak against them (pearson -0.9"),
        (lambda values: np.random.default_rng(5).permutation(values), "no better than by chance (pearson "),
    ],
)
def test_a_regression_upside_down_or_shuffled(of, told):
    rng = np.random.default_rng(0)
    values = rng.normal(size=200).astype(np.float32)
    logits = (values + 0.3 * rng.normal(size=200))[:, None].astype(np.float32)
    found = examine(SCORE, logits, rows_of(of(values)), GateLimits())
    assert (found.meaningless is None) if told is None else (told in str(found.meaningless))


def test_the_association_is_of_unit_variance_under_shuffling():
    rng = np.random.default_rng(0)
    said, known = FIVE.kind.indicators(FIVE, drawn(5, 60), np.minimum(drawn(5, 60, 2), drawn(5, 60, 3)))
    found = [association(said, rng.permutation(known)) for _ in range(3000)]
    assert np.mean(found) == pytest.approx(0, abs=0.06)
    assert np.std(found) == pytest.approx(1, abs=0.04)


def test_copies_are_told_and_count_as_one_text():
    texts = [f"{'A' if i % 2 else 'a'} text {i % 10}" for i in range(500)]
    labels = np.arange(500) % 10 % 2
    found = examine(TWO, np.eye(2, dtype=np.float32)[labels], rows_of(labels, texts), GateLimits())
    assert found.warnings[0] == (
        "the 500 rows are copies of 10 different texts (spaces and case aside); the gate counts "
        "texts, not rows"
    )
    noisy = np.random.default_rng(0).integers(0, 2, 10)[np.arange(500) % 10]
    assert (
        examine(TWO, np.eye(2, dtype=np.float32)[noisy], rows_of(labels, texts), GateLimits()).meaningless
        is not None
    )


def test_training_texts_among_the_rows_are_told_beyond_a_small_share():
    labels = drawn(2, 400)
    logits = answering(labels, 0.9, count=2)
    assert examine(TWO, logits, rows_of(labels), GateLimits(), leaked=4) == DataSoundness()
    found = examine(TWO, logits, rows_of(labels), GateLimits(), leaked=40)
    assert found.warnings[0].startswith("40 of the 400 rows (10.0%) are also among the training data")
    assert found.meaningless is None
