"""What is said of a budget at the end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from page_reader import PageReader, check_policy, skeleton

from edgeroberta.latency.calltimes import CallTimes
from edgeroberta.metrics import Interval
from edgeroberta.report.pareto import ParetoPoint
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.search.candidates import Candidate, PredictedResult
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.probing import ShortDistillation
from edgeroberta.search.result import FULL, MADE, PAGE, PARETO_SVG, REPORT, SearchResult, size_of

PREDICTED = PredictedResult(CallTimes(0.0012, 0.001, 0.002, 0.003), speedup=4.2, bytes=10_000_000)
CHOSEN = Candidate((0, 2), (LayerShape(3, 96), LayerShape(2, 64)), None, PREDICTED, 0.7, False)
PREDICTED_CELLS = ["1.20", "ms", "1.00", "ms", "2.00", "ms", "3.00", "ms", "4.20x", "10.0", "MB"]
BEHIND = Interval(0.035, 0.01, 0.06)
TIMES = {"mean_ms": 1.3, "p50_ms": 1.1, "p95_ms": 2.1, "p99_ms": 3.1}
MEASURED = {**TIMES, "speedup": 4.1, "bytes": 10_100_000.0}


def outcome(limits: BudgetLimits, **fields: Any) -> SearchResult:
    found = SearchResult(
        limits=limits,
        chosen=CHOSEN,
        probes=(),
        predicted=PREDICTED,
        measured=MEASURED,
        metric="accuracy",
        kept=0.97,
        points=(
            ParetoPoint("float32", 4.5, 0.9, 120_000_000, FULL),
            ParetoPoint("int8 alone", 2.0, 0.9, 32_000_000, MADE),
            ParetoPoint(CHOSEN.name, 1.1, 0.873, 10_100_000, MADE),
        ),
        engine="onnxruntime",
        device="a machine",
        elsewhere=None,
        full_then=4.2,
        full_now=4.62,
    )
    return replace(found, **fields)


def test_a_budget_that_is_met_misses_nothing():
    assert outcome(BudgetLimits(speedup=4, p95=0.003, p99=0.0032, bytes=11_000_000)).missed == ()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (BudgetLimits(speedup=4.2), "speedup 4.10 instead of 4.2"),
        (BudgetLimits(p95=0.002), "p95 2.10 ms instead of 2 ms"),
        (BudgetLimits(p99=0.003), "p99 3.10 ms instead of 3 ms"),
        (BudgetLimits(bytes=10_000_000), "10.10 MB instead of 10 MB"),
    ],
)
def test_every_limit_is_judged_by_what_was_measured(limits, said):
    assert outcome(limits).missed == (said,)


def test_what_was_measured_stands_beside_what_was_predicted():
    assert outcome(BudgetLimits(speedup=4)).to_text(failed=False).splitlines() == [
        "",
        "budget: 4x the speed, keeping 98.0% of the metric",
        "chosen: 2 layers, 5 heads, 160 neurons",
        "  mean    1.20 ms predicted, 1.30 measured",
        "  p50     1.00 ms predicted, 1.10 measured",
        "  p95     2.00 ms predicted, 2.10 measured",
        "  p99     3.00 ms predicted, 3.10 measured",
        "  speedup 4.20 x predicted, 4.10 measured",
        "  bytes   10,000,000 bytes predicted, 10,100,000 measured",
        "  the baseline took 4.20 ms when the device was measured and 4.62 now: at that clock, "
        "p50 is 1.10 ms",
        "  accuracy: 97.0% of the baseline's kept",
        "the Pareto front of what was found (*):",
        "                                                    p50  accuracy      size",
        "*  2 layers, 5 heads, 160 neurons (compressed)  1.10 ms    87.3 %   10.1 MB",
        "*  int8 alone (compressed)                      2.00 ms    90.0 %   32.0 MB",
        "   float32 (baseline)                           4.50 ms    90.0 %  120.0 MB",
    ]


def test_what_fails_is_shown_with_the_front():
    text = outcome(BudgetLimits(speedup=5)).to_text(failed=True)
    assert "not met: speedup 4.10 instead of 5" in text
    assert "not all that was asked for is met" in text
    assert "*  int8 alone (compressed)" in text
    assert "   float32 (baseline)" in text


def test_candidates_that_were_not_made_are_listed_as_predicted():
    other = replace(CHOSEN, layers=(0,), shapes=(LayerShape(4, 128),), whole=True)
    found = outcome(
        BudgetLimits(speedup=4),
        probes=(ShortDistillation(CHOSEN, 0.91, 0.88), ShortDistillation(other, 0.875, 0.85, BEHIND)),
    )
    lines = found.to_text(failed=False).splitlines()
    start = lines.index("compared by a short distillation; times and sizes of these are predicted:")
    assert [line.split() for line in lines[start + 1 : start + 4]] == [
        ["candidate", "mean", "p50", "p95", "p99", "speedup", "size", "teacher's", "answers"],
        [*CHOSEN.name.split(), *PREDICTED_CELLS, "91.0%"],
        ["1", "layer", *PREDICTED_CELLS, "87.5%"],
    ]
    written = found.to_json()["candidates"]
    assert [(each["name"], each["agreement"], each["tied"]) for each in written] == [
        (CHOSEN.name, 0.91, True),
        ("1 layer", 0.875, False),
    ]
    assert written[1]["behind"] == {"mean": 0.035, "low": 0.01, "high": 0.06}
    assert not [line for line in lines if line.startswith("tied")]


def test_candidates_that_cannot_be_told_apart_are_called_tied():
    other = replace(CHOSEN, layers=(0,), shapes=(LayerShape(4, 128),), whole=True)
    probes = (
        ShortDistillation(other, 0.91, 0.88),
        ShortDistillation(CHOSEN, 0.905, 0.85, Interval(0.005, -0.01, 0.02)),
    )
    assert (
        "tied, since the validation texts cannot tell them apart: 1 layer and 2 layers, 5 heads, "
        "160 neurons; 2 layers, 5 heads, 160 neurons is made of these"
    ) in outcome(BudgetLimits(speedup=4), probes=probes).to_text(failed=False).splitlines()


def test_the_candidates_that_were_compared_are_drawn_by_what_is_predicted(tmp_path):
    other = replace(CHOSEN, layers=(0,), shapes=(LayerShape(4, 128),), whole=True)
    probes = (ShortDistillation(CHOSEN, 0.91, 0.88), ShortDistillation(other, 0.875, 0.85, BEHIND))
    outcome(BudgetLimits(speedup=4), probes=probes).write(tmp_path)
    shown = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert shown.count("<svg") == 2
    assert "Hollow ones are predicted" in shown
    assert "1 layer, predicted</text>" in shown


def test_a_device_s_name_never_becomes_markup_of_the_page(tmp_path):
    hostile = '"><script>alert(1)</script>'
    read = []
    for device in ("a machine", hostile):
        outcome(BudgetLimits(speedup=4), device=device).write(tmp_path)
        read.append(PageReader((tmp_path / PAGE).read_text(encoding="utf-8")))
    assert skeleton(read[0]) == skeleton(read[1])
    check_policy(read[1])


def test_the_pace_of_the_machine_is_told_beside_the_prediction():
    found = outcome(BudgetLimits(speedup=4)).to_json()
    assert found["baseline"] == {"p50_ms_then": 4.2, "p50_ms_now": 4.62, "clock_ratio": pytest.approx(1.1)}
    assert found["predicted"]["p50_ms"] == 1.0


def test_times_of_a_device_elsewhere_are_not_judged_here():
    away = outcome(
        BudgetLimits(speedup=9, p95=0.0001, p99=0.0001, bytes=1),
        measured={**MEASURED, **dict.fromkeys(TIMES), "speedup": None},
        elsewhere="user@board",
        full_now=None,
    )
    assert away.clock_ratio is None
    assert "at that clock" not in away.to_text(failed=True)
    assert away.missed == ("10.10 MB instead of 1e-06 MB",)
    assert "not measured here" in away.to_text(failed=True)


def test_the_reports_lie_in_the_bundle_and_are_not_counted_in_its_size(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"12345")
    found = outcome(BudgetLimits(speedup=4))
    found.write(tmp_path)
    written = json.loads((tmp_path / REPORT).read_text(encoding="utf-8"))
    assert (written["predicted"]["p50_ms"], written["measured"]["p50_ms"]) == (1.0, 1.1)
    assert "asked for: 88.2 %" in (tmp_path / PARETO_SVG).read_text(encoding="utf-8")
    shown = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "asked for: 88.2 %" in shown
    assert "Asked: " in shown
    assert "The candidates that were compared" not in shown
    assert size_of(tmp_path) == 5
    (tmp_path / "again").hardlink_to(tmp_path / "model.onnx")
    assert size_of(tmp_path) == 5  # one file with two names
