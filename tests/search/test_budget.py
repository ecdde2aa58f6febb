"""From a budget to a bundle: on a tiny model, with a table of round numbers in place of a measured one."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_latency
import pytest

from edgeroberta import cli, recipe
from edgeroberta.api import CompressionResult
from edgeroberta.data import DataSpec
from edgeroberta.errors import EngineError, UsageError
from edgeroberta.latency import measurement
from edgeroberta.latency.request import LatencyRequest as TableRequest
from edgeroberta.pipeline import compression
from edgeroberta.pipeline.compression_inputs import CompressionRequest
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import manifest
from edgeroberta.search import budget, cascades, preview, probing
from edgeroberta.search import measurement as evaluation
from edgeroberta.search.limits import BudgetLimits

WORDS = ("good", "bad", "film", "story", "dull", "bright", "long")
QUICK = ("distill.epochs=1", "quantize.samples=8", "verify.latency_rows=5")


@pytest.fixture(scope="module")
def request_of_tiny(make_checkpoint, tmp_path_factory) -> CompressionRequest:
    """A request for a tiny model of three layers; all tests share its work folder, and so what is made."""
    folder = tmp_path_factory.mktemp("budget")
    rows = folder / "rows.csv"
    with rows.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for index in range(120):
            words = [WORDS[index * step % 7] for step in range(1, 5 + index % 7)]
            writer.writerow([f"{' '.join(words)} {index}", ("negative", "positive")[index % 2]])
    model = make_checkpoint(("negative", "positive"), num_hidden_layers=3)
    return CompressionRequest(
        model=str(model),
        data=DataSpec(str(rows), eval_fraction=0.3),
        recipe="int8-distill",
        overrides=QUICK,
        target="arm",
        output=None,
        work=folder / "work",
        reference=None,
    )


@pytest.fixture
def ask(request_of_tiny, tmp_path, monkeypatch) -> CompressionRequest:
    """That request with an output of its own; the device is a round one."""
    monkeypatch.setattr(measurement, "measure", lambda wanted, **_: fake_latency.round_table(wanted.shape))
    return replace(request_of_tiny, output=tmp_path / "out")


def test_a_loose_budget_ends_in_int8_alone_and_a_gate_that_fails_in_code_3(ask, monkeypatch, capsys):
    found = budget.compress(ask, BudgetLimits(speedup=1.5, keep=0.5), progress=Progress())
    assert found.result.stages[0].artifact.lineage.stage == "export"
    assert (found.search_result.chosen.name, found.search_result.probes) == ("3 layers", ())
    written = json.loads((found.result.bundle / "reports" / "budget.json").read_text())
    assert written["predicted"]["speedup"] == pytest.approx(12.1 / 3.1)
    assert written["measured"]["p50_ms"] > 0
    assert written["baseline"]["clock_ratio"] > 0
    assert [point.name for point in found.search_result.points] == ["float32", "int8 alone"]

    report = {**(found.result.report or {})}
    report["judgement"] = {**report["judgement"], "verdict": "FAIL"}
    failed = replace(found, result=replace(found.result, report=report))
    passed = [CompressionResult(each.result, each.search_result).passed for each in (found, failed)]
    assert passed == [not found.search_result.missed, False]
    monkeypatch.setattr(budget, "compress", lambda *arguments, **options: failed)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["compress", "model", "--data", "rows.csv", "--speedup", "1.5", "-o", "out"])
    assert stopped.value.code == 3
    assert "float32 (baseline)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_tight_budget_compares_candidates_and_its_recipe_makes_the_same_again(ask):
    lines: list[str] = []

    class Listening(Progress):
        def line(self, text: str) -> None:
            lines.append(text)

    limits = BudgetLimits(speedup=6, bytes=2_000_000, keep=0.5)
    found = budget.compress(ask, limits, progress=Listening())
    outcome = found.search_result
    assert len(outcome.probes) >= 2
    assert outcome.chosen == probing.pick(outcome.probes).candidate
    assert outcome.probes[0].behind is None
    assert all(probe.behind is not None for probe in outcome.probes[1:])
    assert [probe.agreement for probe in outcome.probes] == sorted(
        (probe.agreement for probe in outcome.probes), reverse=True
    )
    assert sum("of the validation answers" in line for line in lines) == len(outcome.probes)
    front = json.loads((found.result.bundle / "reports" / "pareto.json").read_text())
    assert [(point["name"], point["predicted"]) for point in front["points"]] == [
        ("float32", False),
        ("int8 alone", False),
        (outcome.chosen.name, False),
    ]
    full, small, _ = outcome.points
    assert small.bytes < full.bytes
    assert (found.result.bundle / "reports" / "pareto.svg").read_text().startswith("<svg")

    again = budget.compress(ask, limits, progress=Progress())
    assert all(made.reused for made in again.result.stages)
    text = found.result.bundle / "recipe.yaml"
    assert recipe.load(str(text)).text == text.read_text()
    copied = text.rename(ask.output.parent / "again.yaml") if ask.output else text
    plain = replace(ask, recipe=str(copied), overrides=())
    assert all(made.reused for made in compression.compress(plain, progress=Progress()).stages)


def test_an_impossible_budget_is_refused_before_anything_is_made(ask):
    hopeless = BudgetLimits(speedup=1000, keep=1.0)
    with pytest.raises(UsageError, match="no model meets"):
        budget.compress(ask, hopeless, progress=Progress())
    assert not (ask.output or Path()).exists()


def test_another_machine_is_measured_there_and_not_taken_for_measured_here(ask):
    def timer(*arguments: Any) -> Any:
        raise AssertionError("the table is a fake one")

    limits = BudgetLimits(speedup=1.5, p95=1.0, keep=0.5)
    found = budget.compress(ask, limits, progress=Progress(), host="user@board", timer=timer)
    assert found.search_result.measured["p50_ms"] is None
    assert [(point.predicted, round(point.latency_ms, 6)) for point in found.search_result.points] == [
        (True, 12.1),
        (True, 3.1),
    ]
    assert "not measured here" in found.search_result.to_text(failed=False)
    assert "edgeroberta bench --host user@board" in found.search_result.to_text(failed=False)


def test_a_recipe_that_does_not_say_how_to_learn_is_refused(ask):
    for name in ("int8", "finetune-int8"):
        with pytest.raises(UsageError, match="how a smaller model is to learn"):
            budget.compress(
                replace(ask, recipe=name, overrides=()), BudgetLimits(speedup=2), progress=Progress()
            )


def test_a_dry_run_says_that_a_device_without_a_table_would_be_measured(ask):
    found = preview.budget_preview(ask, BudgetLimits(speedup=6))
    assert found.candidates == ()
    assert "the device would be measured first" in str(found)
    assert found.to_json()["budget"]["candidates"] is None
    assert not (ask.output or Path()).exists()


def test_a_dry_run_predicts_candidates_by_the_table_that_is_there(ask, monkeypatch):
    wanted = []

    def stored(request: Any, where: str | None = None) -> Any:
        wanted.append(where)
        return fake_latency.round_table(request.shape)

    monkeypatch.setattr(measurement, "stored", stored)
    tight = preview.budget_preview(ask, BudgetLimits(speedup=6), host="user@board")
    assert wanted == ["user@board"]
    assert len(tight.candidates) >= 2
    text = str(tight)
    assert "budget: 6x the speed" in text
    assert all(candidate.name in text for candidate in tight.candidates)
    written = tight.to_json()["budget"]["candidates"]
    assert all(each["predicted"]["speedup"] >= 6 for each in written)
    assert "nothing would be trained" in str(preview.budget_preview(ask, BudgetLimits(speedup=1.5)))
    with pytest.raises(UsageError, match="no model meets"):
        preview.budget_preview(ask, BudgetLimits(speedup=1000))
    assert not (ask.output or Path()).exists()


def test_the_table_that_a_dry_run_finds_is_the_one_that_a_run_stored(ask):
    model = Checkpoint(Path(str(ask.model)))
    wanted = TableRequest(model.config.shape, "gelu", model, "arm")
    assert measurement.stored(wanted, where="user@board") is None
    plan = measurement.plan_for(wanted, here=False)
    table = fake_latency.round_table(wanted.shape)
    table.save(measurement.table_file(plan, "arm", "user@board"))
    assert measurement.stored(wanted, where="user@board") == table
    assert measurement.stored(wanted, where="another@board") is None


@pytest.mark.slow
def test_the_packaged_default_is_fine_tuned_and_then_held_to_a_budget(ask, make_checkpoint, monkeypatch):
    base = make_checkpoint(("negative", "positive"), head=False)
    monkeypatch.setattr("edgeroberta.demo.prepare", lambda cache: SimpleNamespace(base=base, data=ask.data))
    packaged = replace(ask, model=None, data=None)
    before = preview.budget_preview(packaged, BudgetLimits(speedup=1.5))
    assert "would be fine-tuned first" in str(before)
    found = budget.compress(packaged, BudgetLimits(speedup=1.5, keep=0.5), progress=Progress())
    assert found.search_result.chosen.name == "2 layers"
    assert "would be fine-tuned first" not in str(preview.budget_preview(packaged, BudgetLimits(speedup=1.5)))


def test_a_model_that_no_engine_could_run_is_an_error_that_says_so():
    crashed = {"engine": "onnxruntime", "metrics": None}
    report = {"metric": "accuracy", "engines": [crashed], "judgement": {"reason": "onnxruntime: crashed"}}
    with pytest.raises(EngineError, match="its worth is not known: onnxruntime: crashed"):
        evaluation._metric(report, "onnxruntime", "accuracy")


def test_what_is_shown_of_each_model_is_the_metric_of_the_gate():
    """Whatever metric the model beside it was judged by."""
    engines = [{"engine": "onnxruntime", "metrics": {"accuracy": 0.9, "macro_f1": 0.7}}]
    assert evaluation._metric({"metric": "accuracy", "engines": engines}, "onnxruntime", "macro_f1") == 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep", "0.9"], "--keep is given but no budget"),
        (["--host", "user@board"], "--host is given but no budget"),
        (["--p95", "soon"], "'soon' is no time"),
        (["--p99", "soon"], "'soon' is no time"),
        (["--size", "tiny"], "'tiny' is no size"),
    ],
)
def test_options_that_make_no_budget_end_with_code_2(options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["compress", "model", "--data", "rows.csv", *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_cascade_may_be_the_best_and_is_judged_by_its_mean(ask, tmp_path, monkeypatch):
    """One that promises six of ten answers, since the tiny models have learnt nothing."""
    monkeypatch.setattr(cascades, "AGREEMENT", 0.6)
    monkeypatch.setattr(
        probing, "pick", lambda probes: next(each for each in probes if each.candidate.escalated is not None)
    )
    rows = tmp_path / "rows.csv"
    with rows.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["text", "label"])
        for index in range(900):
            words = [WORDS[index * step % 7] for step in range(1, 5 + index % 7)]
            writer.writerow([f"{' '.join(words)} {index}", ("negative", "positive")[index % 2]])
    asked = replace(ask, data=DataSpec(str(rows), eval_fraction=0.2), work=tmp_path / "work")
    found = budget.compress(asked, BudgetLimits(speedup=4, keep=0.01), progress=Progress())
    outcome = found.search_result
    assert outcome.chosen.name.startswith("cascade: ")
    assert [made.artifact.lineage.stage for made in found.result.stages][-3:] == [
        "cascade",
        "verify",
        "bundle",
    ]
    facts = manifest.read(found.result.bundle).cascade
    assert facts is not None
    assert facts.names == ("student", "int8")
    assert facts.agreement >= 0.6
    full, int8, mine = outcome.points
    assert outcome.measured["mean_ms"] == mine.latency_ms
    assert outcome.measured["speedup"] != pytest.approx(
        full.latency_ms / outcome.measured["p50_ms"], rel=1e-6
    )
    assert 0 <= outcome.measured["escalated"] <= 1
    assert mine.name == f"{outcome.chosen.name} (mean)"
    assert mine.bytes > int8.bytes
    assert "on to the last tier go" in outcome.to_text(failed=False)
