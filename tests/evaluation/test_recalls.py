"""The gate's bounds on the recall of single labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tagged import outputs_of, word_tags

from edgeroberta.errors import UsageError
from edgeroberta.evaluation.gate import PairedAnswers, apply_gate
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict
from edgeroberta.tasks import Problem, Task

INTENTS = Task(Problem.SINGLE_LABEL, tuple("abcde"))
TOPICS = Task(Problem.MULTI_LABEL, ("billing", "delivery", "quality"))
TYPES = ("EMAIL", "PHONE", "NAME", "CITY", "DATE")
TAGS = ("O", *(f"{mark}-{kind}" for kind in TYPES for mark in "BI"))
PERSONAL = Task(Problem.TOKENS, TAGS)
#: Everything else holds: F1 may fall by two points, and nine of ten answers stay.
LOOSE = GateLimits(max_drop=0.02, min_agreement=0.9)


def intents(rows: int, *, lost: float = 0.0, label: int = 4, share: float = 0.05, seed: int = 0):
    """Two models on labels of which one is rare; the second loses some of its rows."""
    rng = np.random.default_rng(seed)
    odds = np.full(5, (1 - share) / 4)
    odds[label] = share
    labels = rng.choice(5, rows, p=odds)
    full = np.where(rng.random(rows) < 0.97, labels, (labels + 1) % 5)
    ours = np.where((full == label) & (rng.random(rows) < lost), 0, full)
    one = np.eye(5, dtype=np.float32)
    return PairedAnswers(INTENTS, one[full], one[ours], labels, seed=seed)


def sentences(rows: int, *, lost: float = 0.0, noise: float = 0.0, share: float = 0.04, seed: int = 0):
    """Two models that tag words; the second loses some of the e-mail addresses, and errs elsewhere."""
    rng = np.random.default_rng(seed)
    odds = [share, *[(1 - share) / 4] * 4]
    true, full, ours = [], [], []
    for _ in range(rows):
        tags: list[str] = []
        for kind in rng.choice(TYPES, size=rng.integers(1, 4), p=odds):
            tags += ["O"] * int(rng.integers(1, 3)) + [f"B-{kind}"] + [f"I-{kind}"] * int(rng.integers(0, 2))
        said = list(tags)
        if rng.random() < 0.05:
            said[1] = "O"
        true.append(tags)
        full.append(said)
        again = ["O" if tag.endswith("EMAIL") and rng.random() < lost else tag for tag in said]
        if rng.random() < noise:
            again[0] = "B-DATE"
        ours.append(again)
    return PairedAnswers(
        PERSONAL, outputs_of(full, TAGS), outputs_of(ours, TAGS), word_tags(true, TAGS), seed=seed
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_planted_loss_of_one_type_is_caught_although_f1_over_all_passes(seed):
    answers = sentences(1500, lost=0.15, seed=seed)
    assert apply_gate(answers, LOOSE)[0].verdict is GateVerdict.PASS
    found, evidence = apply_gate(answers, replace(LOOSE, max_recall_drop={"EMAIL": 0.02}))
    assert found.verdict is GateVerdict.FAIL
    assert found.reason.startswith("the drop of the recall of EMAIL is +")
    assert evidence.drop.mean < 0.02
    least = replace(LOOSE, min_recall={"EMAIL": 0.95})
    assert apply_gate(answers, least)[0].verdict is GateVerdict.FAIL


def test_a_planted_loss_of_one_label_is_caught_in_19_of_20_seeds_by_one_bound_for_all_labels():
    gate, caught = replace(LOOSE, max_recall_drop=0.05), 0
    for seed in range(20):
        answers = intents(3000, lost=0.2, seed=seed)
        assert apply_gate(answers, LOOSE)[0].verdict is GateVerdict.PASS
        caught += apply_gate(answers, gate)[0].verdict is GateVerdict.FAIL
    assert caught >= 19


def test_a_model_that_lost_nothing_passes_with_enough_rows():
    passed = [
        apply_gate(intents(3000, seed=seed), replace(LOOSE, max_recall_drop=0.05))[0].verdict
        for seed in range(20)
    ]
    assert passed.count(GateVerdict.PASS) >= 19
    answers = sentences(1500, noise=0.02, seed=1)
    gate = replace(LOOSE, max_recall_drop={"EMAIL": 0.1, "DATE": 0.02}, min_recall={"EMAIL": 0.8})
    found, _ = apply_gate(answers, gate)
    assert found.verdict is GateVerdict.PASS
    assert "; the drop of the recall of DATE is 0.0 (" in found.reason
    assert found.reason.endswith("; of 2 labels it is the nearest to its bounds")


def test_the_interval_of_a_recall_is_that_of_clopper_and_pearson():
    labels = np.array([4] * 200 + [0] * 800)
    ours = labels.copy()
    ours[:12] = 0
    one = np.eye(5, dtype=np.float32)
    answers = PairedAnswers(INTENTS, one[labels], one[ours], labels)
    _, evidence = apply_gate(answers, replace(LOOSE, min_recall={"e": 0.9}))
    (found,) = evidence.recalls
    exact = stats.binomtest(188, 200).proportion_ci(method="exact")
    assert (found.recall.mean, found.count, found.texts, found.baseline) == (0.94, 200, 200, 1.0)
    assert (found.recall.low, found.recall.high) == pytest.approx((exact.low, exact.high), abs=0.003)
    assert found.drop.mean == pytest.approx(0.06)


def test_too_few_rows_of_a_label_are_told_with_those_that_would_decide():
    found, evidence = apply_gate(intents(1000, share=0.02), replace(LOOSE, max_recall_drop={"e": 0.05}))
    assert found.verdict is GateVerdict.INCONCLUSIVE
    count = evidence.recalls[0].count
    assert found.reason.startswith("the drop of the recall of e is 0.0 (")
    assert f"points on {count} such rows, the gate allows 5.0; about " in found.reason
    # 1 - 0.025 ** (1 / 72) is the first below 5 %.
    needed = int(found.reason.rsplit(" in all, ")[1].split(" of them with e) would decide")[0])
    assert needed == pytest.approx(72, rel=0.1)
    assert found.rows_needed == pytest.approx(1000 * needed / count, rel=0.03)


def test_a_label_that_no_row_has_is_not_taken_for_kept():
    answers = intents(500)
    keep = np.flatnonzero(answers.labels != 4)
    answers = replace(answers, full=answers.full[keep], ours=answers.ours[keep], labels=answers.labels[keep])
    found, evidence = apply_gate(answers, replace(LOOSE, max_recall_drop=0.5))
    assert found.verdict is GateVerdict.INCONCLUSIVE
    assert found.reason == (
        "the recall of e is not known, there are no such rows; rows that have it would decide"
    )
    assert evidence.recalls[4].recall is None
    assert found.rows_needed is None


def test_what_fails_is_told_before_what_is_open_and_the_others_after_it():
    answers = intents(4000, lost=0.6, share=0.05)
    gate = replace(LOOSE, max_drop=0.5, min_agreement=0.5, min_recall={"a": 0.99, "e": 0.95, "b": 0.9999})
    found, _ = apply_gate(answers, gate)
    assert found.verdict is GateVerdict.FAIL
    assert found.reason.startswith("the recall of e is ")
    assert found.reason.endswith("; that of 2 more fails too (a, b)")


def test_copies_of_a_text_stand_or_fall_together():
    answers = intents(4000, share=0.1)
    gate = replace(LOOSE, max_recall_drop={"e": 0.05})
    assert apply_gate(answers, gate)[0].verdict is GateVerdict.PASS
    copied = replace(answers, groups=np.arange(4000) % 100)
    found, evidence = apply_gate(copied, gate)
    assert found.verdict is GateVerdict.INCONCLUSIVE
    assert evidence.recalls[0].texts <= 100
    assert "different texts" in found.reason


def test_several_labels_of_a_text_have_a_recall_each():
    rng = np.random.default_rng(0)
    truth = (rng.random((3000, 3)) < (0.1, 0.4, 0.6)).astype(np.float32)
    ours = truth * (1 - (rng.random((3000, 3)) < (0.2, 0.0, 0.0)))
    answers = PairedAnswers(TOPICS, truth * 2 - 1, ours * 2 - 1, truth)
    assert apply_gate(answers, LOOSE)[0].verdict is GateVerdict.PASS
    found, evidence = apply_gate(answers, replace(LOOSE, max_recall_drop=0.05))
    assert found.verdict is GateVerdict.FAIL
    assert "the recall of billing" in found.reason
    assert [each.verdict for each in evidence.recalls[1:]] == [GateVerdict.PASS] * 2


def test_a_gain_of_recall_is_no_loss():
    better = intents(3000, lost=0.5)
    swapped = replace(better, full=better.ours, ours=better.full)
    found, evidence = apply_gate(swapped, replace(LOOSE, max_recall_drop={"e": 0.0001}))
    assert found.verdict is GateVerdict.PASS
    assert evidence.recalls[0].drop.high < 0


def test_without_labels_there_is_no_recall():
    answers = replace(intents(2000), labels=None)
    found, evidence = apply_gate(answers, replace(LOOSE, max_recall_drop=0.01))
    assert found.verdict is GateVerdict.PASS
    assert evidence.recalls == ()


def test_a_label_that_the_task_does_not_have_is_refused():
    with pytest.raises(UsageError, match="the task has no label 'EMIAL'"):
        apply_gate(sentences(20), GateLimits(min_recall={"EMIAL": 0.9}))


def test_the_end_that_fails_is_shared_among_all_bounds_and_the_one_that_passes_is_not():
    answers = intents(2000, lost=0.1)
    alone = apply_gate(answers, replace(LOOSE, max_recall_drop={"e": 0.05}))[1].recalls[0]
    among = apply_gate(answers, replace(LOOSE, max_recall_drop=0.05))[1].recalls[4]
    assert among.drop.high == alone.drop.high
    assert among.drop.low < alone.drop.low
    assert among.recall.low == alone.recall.low
    assert among.recall.high > alone.recall.high
