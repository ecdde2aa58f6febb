"""What the tiers of a cascade did, by calls that say who answered."""

from __future__ import annotations

import numpy as np
import pytest
from fake_bundles import FakeWorker

from edgeroberta.measure.clock import TimedCalls, time_calls
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun, run_interleaved
from edgeroberta.measure.tiers import TierUse, sum_up
from edgeroberta.progress import Progress
from edgeroberta.tasks import Outputs

ROUNDS = [TimedCalls([0.001, 0.004, 0.001], tiers=[0, 1, 0]), TimedCalls([0.002, 0.006], tiers=[0, 1])]
THROUGH = [TimedCalls([0.004, 0.005]), TimedCalls([0.006])]


def answers(*tiers: int) -> Outputs:
    found = Outputs.of_texts(np.zeros((len(tiers), 2), np.float32))
    return Outputs(found.values, found.offsets, None, np.array(tiers))


def test_each_tier_has_its_share_of_the_rows_and_the_times_of_what_it_answered():
    found = sum_up(("tiny", "int8"), ROUNDS, THROUGH, answers(0, 0, 1, 0))
    assert found.tiers == (
        TierUse("tiny", 0.75, 3, pytest.approx(1.0)),
        TierUse("int8", 0.25, 2, pytest.approx(5.0)),
    )
    assert found.escalated == 0.25


def test_texts_sent_through_all_tiers_are_the_worst_case():
    worst = sum_up(("tiny", "int8"), ROUNDS, THROUGH, None).worst
    assert (worst.mean_ms, worst.p50_ms, worst.calls) == (pytest.approx(5.0), pytest.approx(5.0), 3)
    assert worst.p99_ms == pytest.approx(5.98)


def test_of_a_tier_that_nothing_reached_there_are_no_times():
    found = sum_up(("tiny", "base", "int8"), ROUNDS, [], answers(0, 1))
    assert found.tiers[2] == TierUse("int8", 0.0, 0, None)
    assert found.worst is None


def test_without_rows_there_are_no_shares():
    found = sum_up(("tiny", "int8"), ROUNDS, THROUGH, None)
    assert [tier.share for tier in found.tiers] == [None, None]
    assert found.escalated is None


def test_a_call_notes_who_answered_outside_of_its_time():
    found = time_calls(lambda value: value % 2, [3, 4, 5], tier_of=lambda answer: int(answer))
    assert found.tiers == [1, 0, 1]


def test_a_cascade_is_sent_through_all_tiers_in_its_turns_and_before_it_is_warm():
    worker = FakeWorker(
        SubjectSpec("fake", "", ["text"] * 40), np.zeros((40, 2)), tiers=("a", "b"), tier_of_call=(0, 0, 0, 1)
    )
    run = RepetitionRun("cascade", worker)
    plan = RepetitionPlan(rounds=2, calls=40, warmup=4)
    run_interleaved([run], plan, [5] * 40, Progress())
    assert [what for what, _ in worker.asked if what in ("open", "through")] == ["open", *["through"] * 3]
    found = run.cascade(plan)
    assert [(tier.calls, tier.p50_ms) for tier in found.tiers] == [(60, 1.0), (20, 2.0)]
    assert (found.worst.calls, found.worst.p50_ms) == (40, 2.0)
    assert run.latency(plan).mean_ms == pytest.approx(1.25)


def test_of_several_texts_in_a_call_no_tier_has_times_of_its_own():
    worker = FakeWorker(
        SubjectSpec("fake", "", ["text"] * 8), np.zeros((8, 2)), tiers=("a", "b"), tier_of_call=(1,)
    )
    run = RepetitionRun("cascade", worker)
    plan = RepetitionPlan(rounds=1, calls=2, batch=4, warmup=2)
    run_interleaved([run], plan, [5] * 8, Progress())
    assert [tier.calls for tier in run.cascade(plan).tiers] == [0, 0]


def test_random_ids_say_nothing_of_a_cascade():
    worker = FakeWorker(
        SubjectSpec("fake", "", ["text"]), np.zeros((1, 2)), tiers=("a", "b"), tier_of_call=(1,)
    )
    run = RepetitionRun("cascade", worker)
    plan = RepetitionPlan(rounds=1, calls=2, tokens=(16,))
    run_interleaved([run], plan, [5], Progress())
    assert run.cascade(plan) is None
    assert "through" not in [what for what, _ in worker.asked]
