"""What is said of a budget at the end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeroberta.front import Point
from edgeroberta.planning.candidates import Candidate, Predicted
from edgeroberta.planning.limits import Limits
from edgeroberta.planning.outcome import FRONT_SVG, FULL, MADE, REPORT, Outcome, size_of
from edgeroberta.roberta.shape import LayerShape

PREDICTED = Predicted(p50=0.001, p95=0.002, speedup=4.2, bytes=10_000_000)
CHOSEN = Candidate((0, 2), (LayerShape(3, 96), LayerShape(2, 64)), None, PREDICTED, 0.7, False)
MEASURED = {"p50_ms": 1.1, "p95_ms": 2.1, "speedup": 4.1, "bytes": 10_100_000.0}


def outcome(limits: Limits, **fields: Any) -> Outcome:
    found = Outcome(
        limits=limits,
        chosen=CHOSEN,
        probes=(),
        predicted=PREDICTED,
        measured=MEASURED,
        metric="accuracy",
        kept=0.97,
        points=(
            Point("full size, float", 4.5, 0.9, 120_000_000, FULL),
            Point("int8 alone", 2.0, 0.9, 32_000_000, MADE),
            Point(CHOSEN.name, 1.1, 0.873, 10_100_000, MADE),
        ),
        engine="onnxruntime",
        device="a machine",
        elsewhere=None,
    )
    return replace(found, **fields)


def test_a_budget_that_is_met_misses_nothing() -> None:
    assert outcome(Limits(speedup=4, p95=0.003, bytes=11_000_000)).missed == ()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(speedup=4.2), "speedup 4.10 instead of 4.2"),
        (Limits(p95=0.002), "p95 2.10 ms instead of 2 ms"),
        (Limits(bytes=10_000_000), "10.10 MB instead of 10 MB"),
    ],
)
def test_every_limit_is_judged_by_what_was_measured(limits: Limits, said: str) -> None:
    assert outcome(limits).missed == (said,)


def test_what_was_measured_stands_beside_what_was_predicted() -> None:
    assert outcome(Limits(speedup=4)).to_text(failed=False).splitlines() == [
        "",
        "budget: 4x the speed, keeping 98.0% of the metric",
        "chosen: 2 layers, 5 heads, 160 neurons",
        "  p50     1.00 ms predicted, 1.10 measured",
        "  p95     2.00 ms predicted, 2.10 measured",
        "  speedup 4.20 x predicted, 4.10 measured",
        "  bytes   10,000,000 bytes predicted, 10,100,000 measured",
        "  accuracy: 97.0% of the full-size model's kept",
    ]


def test_what_fails_is_shown_with_the_front() -> None:
    text = outcome(Limits(speedup=5)).to_text(failed=True)
    assert "not met: speedup 4.10 instead of 5" in text
    assert "*  int8 alone (compressed)" in text
    assert "   full size, float (full size)" in text


def test_times_of_a_device_elsewhere_are_not_judged_here() -> None:
    away = outcome(
        Limits(speedup=9, p95=0.0001, bytes=1),
        measured={**MEASURED, "p50_ms": None, "p95_ms": None, "speedup": None},
        elsewhere="user@board",
    )
    assert away.missed == ("10.10 MB instead of 1e-06 MB",)
    assert "not measured here" in away.to_text(failed=True)


def test_the_reports_lie_in_the_bundle_and_are_not_counted_in_its_size(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"12345")
    found = outcome(Limits(speedup=4))
    found.write(tmp_path)
    written = json.loads((tmp_path / REPORT).read_text(encoding="utf-8"))
    assert (written["predicted"]["p50_ms"], written["measured"]["p50_ms"]) == (1.0, 1.1)
    assert "asked for: 88.2 %" in (tmp_path / FRONT_SVG).read_text(encoding="utf-8")
    assert size_of(tmp_path) == 5
