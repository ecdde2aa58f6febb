from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import fake_bundles
import numpy as np
import pytest

from edgeroberta.data.rows import Rows
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.per_stage import PerStageMetrics, StageRow
from edgeroberta.evaluation.result import AnswerFlip, EngineResult, GateVerdict, Invariance, Judgement, Report
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.measure.clock import CallShape, summarise
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.metrics import Interval
from edgeroberta.report import rendering
from edgeroberta.report.verification import markdown, page, sections, write

GOLDEN = Path(__file__).parent / "golden" / "report.md"


@pytest.fixture
def example() -> Report:
    rows = Rows(("a", "b", "c", "d"), None, np.array([0, 1, 0, 1]), "reviews.csv")
    reference = fake_bundles.fixed_reference(rows, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]])
    reason = "the drop of accuracy is +0.6 (-0.2 to +1.4) points on 1,000 rows, the gate allows 1.0"
    good = EngineResult(
        engine="onnxruntime",
        version="1.31.1",
        status=RowStatus.OK,
        judgement=Judgement(GateVerdict.INCONCLUSIVE, reason, 1900),
        metrics={"accuracy": 0.861, "macro_f1": 0.86},
        drop=Interval(0.006, -0.002, 0.014),
        agreement=0.981,
        flips=19,
        latency=summarise([[0.001] * 99 + [0.004], [0.002] * 100], CallShape(warmup=20)),
        cold_start_s=0.412,
        peak_bytes=142_300_000,
        bytes=31_200_000,
        invariance=Invariance(32, ("batched", "padded-64"), 2.3e-7, 0),
        gain=Int8Speedup(1.12, 1.6, True, 3.2, 3.58, 24, "AVX-512 VNNI", "a busy machine; measure again"),
    )
    crash = Judgement(GateVerdict.FAIL, "crashed: killed by SIGSEGV")
    return Report(
        judgement=Judgement(GateVerdict.FAIL, "openvino: crashed: killed by SIGSEGV"),
        gate=GateLimits(),
        metric="accuracy",
        problem="single_label_classification",
        labels=("negative", "positive"),
        data={"source": "reviews.csv", "digest": "2" * 64, "rows": 1000},
        baseline=reference.to_json(),
        engines=(good, EngineResult("openvino", None, RowStatus.CRASHED, crash)),
        flips=(AnswerFlip(17, "good | <b>bad</b>\nand *ugly*", None, "positive", "positive", "negative"),),
        machine=fake_bundles.DEVICE,
        measured_at="2026-01-02T03:04:05+00:00",
        linear_ops=(
            {"linear_op": "layer.0.ffn.out", "choice": "float", "error": 0.1234567, "reason": "worst of all"},
        ),
        per_stage=PerStageMetrics(
            metric="accuracy",
            measured=1000,
            available=1000,
            calls=90,
            rows=(
                StageRow(
                    "baseline",
                    "checkpoint",
                    1.0,
                    None,
                    1.0,
                    0,
                    0.051,
                    30_000_000,
                    123_500_000,
                    "e",
                    5.1,
                    1.0,
                ),
                StageRow(
                    "quantize", "graph", 0.861, 0.139, 0.981, 19, 0.06, int(30e6), 31_200_000, "e", 1.2, 4.2
                ),
            ),
        ),
        lineage=(
            {"stage": "source", "config": {"model": "full/", "data": None}, "seed": 0, "seconds": 0.0},
            {"stage": "quantize", "config": {"samples": 256}, "seed": 0, "seconds": 12.34},
        ),
    )


def test_a_report_reads_as_it_should(example):
    text = markdown(sections(example))
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_f1_is_told_with_the_label_that_it_is_of(example):
    measured = {**example.baseline, "metrics": {**example.baseline["metrics"], "f1": 0.9}}
    text = markdown(sections(replace(example, metric="f1", baseline=measured)))
    assert f"\nThe gate: f1 of {example.labels[1]!r} may fall by at most 1.0 points" in text


def test_a_report_is_written_three_ways(example, tmp_path):
    assert write(example, tmp_path) == ("report.json", "report.md", "report.html")
    stored = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert stored["schema_version"] == 2
    assert stored["judgement"]["verdict"] == "FAIL"
    assert stored["engines"][0]["drop"] == {"mean": 0.006, "low": -0.002, "high": 0.014}
    assert stored["engines"][1]["status"] == "crashed"
    assert stored["baseline"]["bytes"] == 120_000_000
    assert PerStageMetrics.from_json(stored["per_stage"]) == example.per_stage
    shown = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>What each stage lost</h2>" in shown
    assert '<td>quantize</td><td class="number">86.1</td><td class="number">+13.9</td>' in shown


def test_per_stage_metrics_without_a_runtime_are_a_sentence(example):
    missing = replace(
        example, per_stage=PerStageMetrics("accuracy", 1000, 1000, 90, missing="no engine is here")
    )
    text = markdown(sections(missing))
    assert "## What each stage lost\n\nNot measured: no engine is here.\n\n##" in text


def test_a_report_without_per_stage_metrics_has_no_section_of_it(example):
    bare = replace(example, per_stage=None)
    assert "What each stage lost" not in markdown(sections(bare))


def test_changed_answers_whose_texts_are_not_kept_are_told_by_their_rows(example):
    bare = replace(example, flips=tuple(replace(flip, text=None, pair=None) for flip in example.flips))
    text = markdown(sections(bare))
    assert "--keep-examples keeps them.\n\n| row | label | baseline | compressed |\n" in text
    assert example.flips[0].text is not None
    assert example.flips[0].text not in text


def test_a_page_draws_the_gate_where_the_intervals_are(example):
    shown = page(example)
    assert "gate +1.0" in shown
    assert '<h1 class="FAIL">Verdict: FAIL</h1>' in shown
    assert shown.count('<circle class="dot INCONCLUSIVE"') == 1  # the engine that crashed has no interval


def test_a_report_of_engines_that_all_failed_still_has_a_page(example):
    empty = replace(example, engines=example.engines[1:], flips=(), linear_ops=(), lineage=(), per_stage=None)
    shown = page(empty)
    assert "<svg" not in shown
    assert "FAIL (crashed)" in shown


def test_without_jinja2_the_page_is_left_out_with_a_warning(example, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    rendering._environment.cache_clear()
    assert write(example, tmp_path) == ("report.json", "report.md")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.json", "report.md"]
    assert "report.html is not written: rendering a template needs the package 'jinja2'" in caplog.text


def test_perplexity_is_told_where_words_were_masked(example):
    engines = tuple(
        replace(each, metrics=each.metrics and {**each.metrics, "perplexity": 12.349})
        for each in example.engines
    )
    full = {**example.baseline["metrics"], "perplexity": 12.3}
    told = replace(example, baseline={**example.baseline, "metrics": full}, engines=engines)
    wanted = "Perplexity is 12.3 of the baseline and 12.35 of the bundle."
    assert wanted in markdown(sections(told))
    assert "Perplexity" not in markdown(sections(example))
