from __future__ import annotations

from dataclasses import replace

from edgeroberta.evaluation.per_stage import PerStageMetrics, StageRow
from edgeroberta.report import stage_metrics

METRICS = PerStageMetrics(
    metric="accuracy",
    measured=872,
    available=872,
    calls=90,
    rows=(
        StageRow(
            "baseline", "checkpoint", 0.884, None, 1.0, 0, 0.051, 30_300_000, 122_600_000, "e", 5.1, 1.0
        ),
        StageRow(
            "distill", "checkpoint", 0.872, 0.012, 0.95, 44, 0.061, 26_700_000, 108_000_000, "e", 3.6, 1.44
        ),
        StageRow(
            "quantize", "graph", 0.8721, -0.0001, 0.948, 45, 0.06, 950, 29e6, "e", 1.2, 4.31, noisy=True
        ),
        StageRow(
            "build", "draft", parameters=26_700_000, bytes=29_000_000, error="crashed: killed by SIGSEGV"
        ),
    ),
)


def test_per_stage_metrics_read_as_they_should():
    lines = stage_metrics.table(METRICS).text().splitlines()
    assert lines == [
        "after     accuracy  lost  agreement  flips  calibration  parameters  size MB  p50 ms  speed",
        "baseline      88.4     –      100.0      0          5.1      30.3 M    122.6    5.10   1.0x",
        "distill       87.2  +1.2       95.0     44          6.1      26.7 M    108.0    3.60   1.4x",
        "quantize      87.2   0.0       94.8     45          6.0         950     29.0    1.20  ~4.3x",
        "build            –     –          –      –            –      26.7 M     29.0       –      –",
    ]
    assert max(map(len, lines)) <= 100, "it fits a terminal"


def test_what_was_measured_on_what_is_said_beneath():
    assert stage_metrics.notes(METRICS) == (
        "Each model as an ONNX graph in ONNX Runtime, on 872 held-out rows; p50 of 90 single texts on one "
        "thread, interleaved with the baseline. One row is 0.11 points. "
        "~: the repetitions differed by more than 10 %.",
        "build: not measured: crashed: killed by SIGSEGV.",
    )


def test_a_draw_of_rows_is_told():
    drawn = replace(METRICS, measured=2000, available=50_000, rows=())
    assert "on 2,000 of 50,000 held-out rows, drawn at random; p50" in stage_metrics.notes(drawn)[0]


def test_per_stage_metrics_without_a_runtime_say_why():
    missing = replace(METRICS, rows=(), missing="ONNX Runtime is not installed: pip install x")
    assert stage_metrics.notes(missing) == ("Not measured: ONNX Runtime is not installed: pip install x.",)


def test_a_correlation_stays_a_number():
    row = StageRow("distill", "checkpoint", 0.9123, 0.0101)
    assert stage_metrics.table(replace(METRICS, metric="pearson", rows=(row,))).rows[0][1:3] == (
        "0.912",
        "+0.010",
    )
