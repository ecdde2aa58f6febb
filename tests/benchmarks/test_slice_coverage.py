"""The simulation of slices, and the students that are trained for them, at a few draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import results, slice_coverage
from benchmarks import slices as students
from benchmarks.slice_coverage import CASES, HOLD, MAXIMUM, Case, measured
from edgeroberta.evaluation import slices
from edgeroberta.evaluation.gate import PairedAnswers
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict
from edgeroberta.evaluation.slices import RowSlice


def test_a_slice_by_its_counts_has_the_interval_that_it_has_among_many():
    counts = [(300, 6, 2), (40, 0, 0), (8, 1, 0)]
    truth = np.zeros(348, np.int64)
    full, ours, parts, start = truth.copy(), truth.copy(), [], 0
    for number, (count, lost, won) in enumerate(counts):
        ours[start : start + lost] = 1
        full[start + lost : start + lost + won] = 1
        parts.append(RowSlice("column", str(number), np.arange(start, start + count)))
        start += count
    one = np.eye(2, dtype=np.float32)
    answers = PairedAnswers(slice_coverage.TASK, one[full], one[ours], truth)
    found = slices.measure(answers, parts, GateLimits(), samples=300)
    for each, (count, lost, won) in zip(found, counts, strict=True):
        alone = measured(count, lost, won, len(counts), 300)
        assert (each.drop, each.agreement) == (alone.drop, alone.agreement)


def test_small_slices_hold_where_the_largest_deviation_of_a_bootstrap_does_not():
    case = Case("small", (200, 40, 40, 8), 0.2)
    found = slice_coverage.coverage(case, draws=30, samples=200)
    assert found[HOLD] >= 95
    assert found[MAXIMUM] < found[HOLD]


def test_the_gate_finds_a_planted_loss_and_passes_none():
    case = Case("two", (600, 300), 0.05)
    lost = slice_coverage.verdicts(case, [0.2, 0.0], draws=5, samples=200)
    kept = slice_coverage.verdicts(case, [0.0, 0.0], draws=5, samples=200)
    assert lost == [GateVerdict.FAIL] * 5
    assert kept == [GateVerdict.PASS] * 5


def test_the_truth_of_a_slice_that_cuts_others_is_that_of_its_texts():
    case = Case("crossed", (300, 100), 0.1, others=1, gain=0.3)
    drawn = case.draw(np.random.default_rng(0), [0.0, 0.1])
    assert len(drawn.members) == case.slices == 6
    assert drawn.drops[:2] == pytest.approx([0.0, 0.1])
    assert drawn.drops[2:].mean() == pytest.approx(0.025)


@pytest.mark.parametrize("benchmark", ["slice_coverage", "slices"])
def test_results_are_those_of_the_cases_and_hold_their_bars(benchmark):
    for path in Path("benchmarks/results").glob(f"*/{benchmark}.json"):
        kept = results.load(path)
        names = [case.name for case in CASES] if benchmark == "slice_coverage" else ["fair", "unfair"]
        assert [row.name for row in kept.rows] == names
        assert all(check.ok for check in kept.checks)


@pytest.mark.slow
def test_students_that_were_not_taught_a_dialect_are_told_from_those_that_were():
    found = students.one(0)
    fair, unfair = found["fair"], found["unfair"]
    assert unfair.sliced is GateVerdict.FAIL
    assert unfair.reason.startswith("the drop of accuracy in slice dialect=second is +")
    assert fair.sliced is GateVerdict.PASS
