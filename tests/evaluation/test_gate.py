from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeroberta.evaluation.gate import LossEvidence, PairedAnswers, apply_gate, gate_decision
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict
from edgeroberta.metrics import Interval
from edgeroberta.tasks import Problem, Task

GATE = GateLimits(max_drop=0.01, min_agreement=0.95, confidence=0.95)
SURE = Interval(0.99, 0.98, 0.995)
TWO = Task(Problem.SINGLE_LABEL, ("no", "yes"))


def _found(drop: Interval, agreement: Interval = SURE, baseline: float = 0.9) -> LossEvidence:
    return LossEvidence(1000, agreement, "accuracy", baseline, drop)


def _answers(rows: int, *, wrong: int = 0, lost: int = 0) -> PairedAnswers:
    """Two models that are wrong on ``wrong`` rows, and one on ``lost`` more."""
    labels = np.zeros(rows, np.int64)
    full, ours = labels.copy(), labels.copy()
    full[:wrong] = ours[: wrong + lost] = 1
    return PairedAnswers(TWO, *(np.eye(2, dtype=np.float32)[each] for each in (full, ours)), labels)


def test_the_gate_passes_a_drop_whose_whole_interval_is_within_it():
    found = gate_decision(_found(Interval(0.002, -0.003, 0.01)), GATE)
    assert found.verdict is GateVerdict.PASS
    assert found.reason == (
        "the drop of accuracy is +0.2 (-0.3 to +1.0) points on 1,000 rows, the gate allows 1.0"
    )


def test_the_gate_fails_a_drop_whose_whole_interval_is_above_it():
    found = gate_decision(_found(Interval(0.03, 0.0101, 0.05)), GATE)
    assert found.verdict is GateVerdict.FAIL
    assert found.reason == (
        "the drop of accuracy is +3.0 (+1.0 to +5.0) points on 1,000 rows, the gate allows 1.0"
    )


def test_the_gate_fails_too_little_agreement_whatever_the_drop():
    found = gate_decision(_found(Interval(0.0, -0.001, 0.001), Interval(0.93, 0.91, 0.9499)), GATE)
    assert found.verdict is GateVerdict.FAIL
    assert found.reason == (
        "the same answer on 93.0% (91.0% to 95.0%) of 1,000 rows, the gate asks for 95.0%"
    )


@pytest.mark.parametrize("share", [0.949, 0.951])
def test_an_agreement_on_the_edge_of_the_gate_is_inconclusive(share):
    found = gate_decision(
        _found(Interval(0.0, -0.001, 0.001), Interval(share, share - 0.01, share + 0.01)), GATE
    )
    assert found.verdict is GateVerdict.INCONCLUSIVE
    assert "the same answer on" in found.reason


def test_what_fails_is_told_before_what_is_open():
    open_, failed = Interval(0.01, 0.0, 0.02), Interval(0.9, 0.89, 0.91)
    assert gate_decision(_found(open_, failed), GATE).reason.startswith("the same answer")
    assert gate_decision(_found(open_, replace(SURE, low=0.94)), GATE).reason.startswith("the drop")


def test_the_agreement_alone_decides_where_there_are_no_labels():
    answers = replace(_answers(400, lost=40), labels=None)
    found, evidence = apply_gate(answers, GATE)
    assert found.verdict is GateVerdict.FAIL
    assert evidence.drop is None


@pytest.mark.parametrize(
    ("high", "baseline", "verdict"),
    [
        (0.0179, 0.9, GateVerdict.PASS),
        (0.019, 0.9, GateVerdict.INCONCLUSIVE),
        (0.019, 0.96, GateVerdict.PASS),
    ],
)
def test_a_share_to_keep_is_a_share_of_the_full_size_metric(high, baseline, verdict):
    gate = GateLimits(max_drop=1, min_agreement=0, min_kept=0.98)
    assert gate_decision(_found(Interval(0.01, 0.001, high), baseline=baseline), gate).verdict is verdict


def test_a_share_to_keep_does_not_loosen_the_largest_drop():
    gate = GateLimits(max_drop=0.005, min_agreement=0, min_kept=0.5)
    assert gate_decision(_found(Interval(0.01, 0.006, 0.02)), gate).verdict is GateVerdict.FAIL


def test_the_full_size_metric_is_that_of_the_answers():
    """Half right, a share of 98 % allows one point; of a metric of 1.0 it would be two."""
    gate = GateLimits(max_drop=1, min_agreement=0, min_kept=0.98)
    found, evidence = apply_gate(_answers(20_000, wrong=10_000, lost=320), gate)
    assert evidence.baseline == 0.5
    assert found.verdict is GateVerdict.FAIL
    assert found.reason.endswith("the gate allows 1.0")


def test_few_rows_are_inconclusive_and_the_gate_says_how_many_more_would_decide():
    found, _ = apply_gate(_answers(6), GATE)
    assert found.verdict is GateVerdict.INCONCLUSIVE
    # 1 - 0.025 ** (1 / 368) is the first below 1 %.
    assert found.rows_needed == pytest.approx(368, rel=0.06)
    assert found.reason.startswith("the drop of accuracy is 0.0 (-4")
    assert found.reason.endswith(f"({found.rows_needed:,} in all) would decide")
    assert apply_gate(_answers(400), GATE)[0].verdict is GateVerdict.PASS


def test_a_model_on_the_limit_is_told_that_rows_would_not_help():
    found, _ = apply_gate(_answers(1000, lost=10), replace(GATE, min_agreement=0.9))
    assert found.verdict is GateVerdict.INCONCLUSIVE
    assert found.rows_needed is None
    assert found.reason.endswith("the model lies so near to the limit that more rows would hardly decide")


def test_rows_that_stand_or_fall_together_count_once():
    often = _answers(500)
    assert apply_gate(often, GATE)[0].verdict is GateVerdict.PASS
    found, _ = apply_gate(replace(often, groups=np.arange(500) % 10), GATE)
    assert found.verdict is GateVerdict.INCONCLUSIVE


def test_the_gate_judges_by_the_metric_it_names():
    """All of the rare label is lost: a point of accuracy, and all of Matthews' correlation."""
    labels = np.array([1] * 10 + [0] * 990)
    ours = np.eye(2, dtype=np.float32)[np.zeros(1000, int)]
    answers = PairedAnswers(TWO, np.eye(2, dtype=np.float32)[labels], ours, labels)
    gate = GateLimits(max_drop=0.03, min_agreement=0.9)
    assert apply_gate(answers, gate)[0].verdict is GateVerdict.PASS
    found, evidence = apply_gate(answers, replace(gate, metric="matthews"))
    assert found.verdict is GateVerdict.FAIL
    assert evidence.metric == "matthews"
    assert evidence.drop.mean == 1
