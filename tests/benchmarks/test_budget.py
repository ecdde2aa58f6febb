"""What the benchmark of budgets makes of a bundle's reports."""

from __future__ import annotations

import pytest

from benchmarks import budget

REPORT = {
    "predicted": {"p50_ms": 1.0, "p95_ms": 2.0, "speedup": 4.2, "bytes": 10_000_000},
    "measured": {"p50_ms": 1.25, "p95_ms": 2.0, "speedup": 4.0, "bytes": 9_000_000},
    "baseline": {"p50_ms_then": 4.2, "p50_ms_now": 5.04, "clock_ratio": 1.2},
    "chosen": {"layers": [0, 2]},
    "kept": 0.98,
}
FRONT = {"points": [{"metric": 0.9}, {"metric": 0.89}, {"metric": 0.882}]}


def test_a_row_has_the_prediction_beside_what_was_measured():
    found = budget.row(4, REPORT, FRONT)
    values = dict(found.values)
    assert (found.title, found.accuracy, found.ratio) == ("`--speedup 4`", 0.882, 4.0)
    assert (values["predicted p50 ms"], values["measured p50 ms"]) == (1.0, 1.25)
    assert values["p50 off %"] == pytest.approx(-20.0)
    assert values["p50 off at the machine's pace %"] == pytest.approx(-4.0)
    assert values["p95 off %"] == 0.0


def test_a_prediction_is_held_to_what_was_measured_and_not_to_the_corrected_one():
    (check,) = budget.checks([budget.row(4, REPORT, FRONT)])
    assert check.title == "predicted p50 against measured, --speedup 4"
    assert (check.value, check.ok) == (20.0, False)
