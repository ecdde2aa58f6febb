"""``--metric``: what models are judged and chosen by, and told by first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fake_bundles
import glue_folders
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from edgeroberta import cli
from edgeroberta.data import DataSpec, load_heldout
from edgeroberta.evaluation import baseline_store
from edgeroberta.runtime import Runtime
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
KNOWN = "one of accuracy, f1, macro_f1, matthews"


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main([str(word) for word in words])
    return leave.value.code if isinstance(leave.value.code, int) else 0


def answered(bundle: Path, data: Path) -> tuple[list[int], list[int]]:
    """Return the truth, and what a bundle says, as ids."""
    rows = load_heldout(DataSpec(str(data), eval_data=str(data)), TWO)
    with Runtime.open(bundle) as runtime:
        said = [TWO.labels.index(str(each.label)) for each in runtime(rows.inputs())]
    return rows.labels.tolist(), said


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("metric")
    return fake_bundles.write_data(folder / "rows.csv", 200, fake_bundles.write(folder / "toy"), wrong=30)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, data) -> Path:
    return fake_bundles.with_reports(tmp_path_factory.mktemp("metric") / "bundle", data, wrong=10)


def test_verify_judges_by_the_metric_that_is_asked_for(bundle, data, capsys):
    assert run("verify", bundle, "--metric", "f1", "--json") in (0, 3)
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == found["gate"]["metric"] == "f1"
    assert "the drop of f1 is " in found["judgement"]["reason"]
    assert found["engines"][0]["metrics"]["f1"] == pytest.approx(f1_score(*answered(bundle, data)))
    drop = found["baseline"]["metrics"]["f1"] - found["engines"][0]["metrics"]["f1"]
    assert found["engines"][0]["drop"]["mean"] == pytest.approx(drop)


def test_a_correlation_is_a_number_in_the_table_of_bench(bundle, data, capsys):
    assert run("bench", bundle, "--rounds", 1, "--metric", "matthews") == 0
    lines = capsys.readouterr().out.splitlines()
    place = lines[0].split("  ")
    assert "matthews" in lines[0]
    assert len(place) > 3
    assert f"{matthews_corrcoef(*answered(bundle, data)):.3f}" in lines[2]
    assert run("bench", bundle, "--rounds", 1, "--json", "--metric", "f1") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == "f1"
    stored = baseline_store.load(bundle / "reports" / "reference").metrics["f1"]
    assert found["rows"][0]["metric"] == pytest.approx(stored)  # the reference's row
    assert found["rows"][1]["metric"] == pytest.approx(f1_score(*answered(bundle, data)))


def commands(tmp_path: Path, bundle: Path, model: Path, data: Path) -> dict[str, tuple[Any, ...]]:
    return {
        "compress": ("compress", model, "--data", data, "-o", tmp_path / "out", "-r", "int8"),
        "dry-run": ("compress", model, "--data", data, "-o", tmp_path / "out", "-r", "int8", "--dry-run"),
        "reference": ("reference", model, "--data", data, "-o", tmp_path / "ref", "--device", "cpu"),
        "verify": ("verify", bundle),
        "bench": ("bench", bundle, "--rounds", 1),
    }


@pytest.mark.parametrize("command", ["compress", "dry-run", "reference", "verify", "bench"])
@pytest.mark.parametrize(
    ("metric", "hint"), [("pearson", KNOWN), ("mathews", f"did you mean 'matthews'? {KNOWN}")]
)
def test_a_metric_that_the_task_has_not_is_refused_with_those_it_has(
    command, metric, hint, tmp_path, bundle, tiny_checkpoint, data, capsys
):
    words = commands(tmp_path, bundle, tiny_checkpoint, data)[command]
    assert run(*words, "--metric", metric) == 2
    assert capsys.readouterr().err.endswith(
        f"error: --metric: a task of single label classification has no {metric}\n  next: {hint}\n"
    )
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "ref").exists()


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry-run"])
def test_a_gate_about_another_metric_is_refused(dry, tmp_path, tiny_checkpoint, data, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("compress", tiny_checkpoint, "--data", data, "-o", "out", "-r", "int8", "--metric", "f1")
    assert run(*words, "--set", "verify.gate.metric=macro_f1", *dry) == 2
    assert capsys.readouterr().err.endswith(
        "error: int8.yaml: stages[3].verify.gate.metric: the gate is about macro_f1, and --metric says f1\n"
        "  next: leave one of them out\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_the_metric(tmp_path, tiny_checkpoint, data, capsys):
    words = ("compress", tiny_checkpoint, "--data", data, "-o", tmp_path / "out", "-r", "int8", "--dry-run")
    assert run(*words, "--metric", "f1") == 0
    said = capsys.readouterr().err
    assert "task:   single label classification of single texts: negative, positive; judged by f1\n" in said
    assert "f1 is that of the second label, 'positive'\n" in said
    assert run(*words, "--metric", "f1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["task"]["metric"] == "f1"


def test_a_reference_tells_the_metric_first(tmp_path, tiny_checkpoint, data, capsys):
    words = ("reference", tiny_checkpoint, "--data", data, "-o", tmp_path / "ref", "--device", "cpu")
    assert run(*words, "--metric", "macro_f1") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("macro_f1 ")
    assert baseline_store.load(tmp_path / "ref").task.metric == "macro_f1"


@pytest.mark.parametrize("named", [None, "accuracy"])
def test_a_bundle_of_a_glue_folder_keeps_its_metric(named, tmp_path, make_checkpoint, capsys):
    model = make_checkpoint(("unacceptable", "acceptable"))
    folder, out = glue_folders.cola(tmp_path), tmp_path / "out"
    asked = () if named is None else ("--metric", named)
    words = ("compress", model, "--data", folder, "-o", out, "-r", "int8", *asked)
    assert run(*words, "--set", "verify.latency_rows=1") in (0, 3)
    said = capsys.readouterr().err
    assert ("judged by matthews, as CoLA is in GLUE" in said) == (named is None)
    metric = named or "matthews"
    report = json.loads((out / "reports" / "report.json").read_text())
    assert (report["metric"], report["per_stage"]["metric"]) == (metric, metric)
    assert report["data"]["rows"] == 10
    for command in (("verify", out, "--json"), ("bench", out, "--rounds", 1, "--json")):
        assert run(*command) in (0, 3)
        assert json.loads(capsys.readouterr().out)["metric"] == metric
