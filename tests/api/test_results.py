"""Functions give results: a verdict is a field, and what speaks against a result is no exception."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_bundles
import fake_stages
import pytest

from edgeroberta import api, recipe
from edgeroberta.api.results import Result, refusals, reporting
from edgeroberta.check import cpu
from edgeroberta.errors import EngineError, UsageError
from edgeroberta.pipeline import RunResult, compression, preflight
from edgeroberta.progress import PlainProgress, Progress
from edgeroberta.search import budget


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    toy = fake_bundles.write(tmp_path_factory.mktemp("toy"))
    return fake_bundles.write_data(tmp_path_factory.mktemp("data") / "rows.csv", 400, toy)


@pytest.fixture
def asked(monkeypatch, tmp_path) -> list[Any]:
    """What the pipeline is asked for, instead of being run."""
    calls: list[Any] = []

    def run(request: Any, *limits: Any, **options: Any) -> Any:
        calls.append((request, *limits, options))
        result = RunResult(tmp_path, None, ())
        return SimpleNamespace(result=result, search_result=None) if limits else result

    monkeypatch.setattr(compression, "compress", run)
    monkeypatch.setattr(budget, "compress", run)
    return calls


@pytest.mark.parametrize(("wrong", "verdict"), [(0, "PASS"), (40, "FAIL")])
def test_evaluate_gives_the_verdict_and_the_report(data, tmp_path, wrong, verdict):
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=wrong)
    result = api.evaluate(bundle, output=tmp_path / "report")
    assert (result.verdict, result.passed, result.bundle) == (verdict, verdict == "PASS", bundle)
    assert result.reason == result.report.judgement.reason
    assert str(result).startswith(f"# Verdict: {verdict}")
    written = json.loads((tmp_path / "report" / "report.json").read_text())
    assert json.loads(json.dumps(result.to_json())) == written
    assert result._repr_html_().startswith(f"<p>Verdict: {verdict}</p>")
    assert "<th>engine</th>" in result._repr_html_()


def test_rows_in_memory_are_measured_as_those_of_a_file(data, tmp_path):
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0)
    header, *lines = data.read_text().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    assert api.evaluate(bundle, rows).report.data["digest"] == api.evaluate(bundle).report.data["digest"]


def test_arguments_of_compress_reach_the_pipeline(asked):
    api.compress(
        Path("model"),
        [{"text": "great", "label": "good"}],
        output="out",
        settings={"distill.epochs": 2, "verify.gate.metric": "macro_f1"},
        keep_examples=True,
        text="text",
    )
    ((request, _),) = asked
    assert (request.model, request.output, request.recipe) == ("model", Path("out"), "int8-distill")
    assert request.overrides == (
        "distill.epochs=2",
        'verify.gate.metric="macro_f1"',
        "verify.keep_examples=true",
    )
    assert request.data.text == "text"


@pytest.mark.parametrize(
    ("p95", "size"), [(0.004, 12_000_000), ("4ms", "12MB")], ids=["numbers", "as on the command line"]
)
def test_a_budget_is_given_in_numbers_or_words(asked, p95, size):
    api.compress("model", "rows.csv", output="out", p95=p95, size=size, keep=0.9)
    ((_, limits, _),) = asked
    assert (limits.p95, limits.bytes, limits.keep) == (pytest.approx(0.004), 12_000_000, 0.9)


@pytest.mark.parametrize("wrong", [{"p95": -1.0}, {"host": "user@board"}, {"keep": 0.9}], ids=str)
def test_a_budget_that_is_none_is_refused(asked, wrong):
    with pytest.raises(UsageError):
        api.compress("model", "rows.csv", output="out", **wrong)


def test_preview_takes_the_arguments_of_compress(tmp_path, monkeypatch, tiny_checkpoint):
    assert inspect.signature(api.preview).parameters == inspect.signature(api.compress).parameters
    with pytest.raises(TypeError, match="outpt"):
        api.preview("model", outpt="out")  # type: ignore[call-arg]
    chosen = fake_stages.recipe(tmp_path / "runs.log")
    monkeypatch.setattr(recipe, "load", lambda name, overrides=(): chosen)
    monkeypatch.setattr(preflight, "check", lambda steps, job, partly=False: ())
    rows = [{"text": f"film {number}", "label": ("negative", "positive")[number % 2]} for number in range(60)]
    found = api.preview(tiny_checkpoint, rows, output=tmp_path / "out", recipe="int8")
    assert "would run" in str(found)
    assert found.to_json()["output"] == str(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_speaks_against_a_check_is_told_beside_it(tiny_bundle, monkeypatch):
    def refuse(found: Any, **options: Any) -> None:
        raise EngineError("not as the graph demands")

    assert api.check_bundle(tiny_bundle, target="cpu").passed
    monkeypatch.setattr(cpu, "require", refuse)
    found = api.check_bundle(tiny_bundle, target="cpu")
    assert (found.passed, [error.what for error in found.errors]) == (False, ["not as the graph demands"])
    assert [each["engine"] for each in found.to_json()["engines"]] == ["onnxruntime", "openvino"]


def test_a_notebook_shows_text_where_there_is_no_table():
    class Slow(Result):
        def __str__(self) -> str:
            return "a < b"

    assert Slow()._repr_html_() == "<pre>a &lt; b</pre>"


def test_results_collect_what_checks_raise():
    def bad() -> None:
        raise EngineError("slow")

    (found,) = refusals(lambda: None, bad)
    assert found.what == "slow"


def test_progress_is_silent_where_nobody_watches(monkeypatch):
    assert type(reporting(None)) is Progress
    given = Progress()
    assert reporting(given) is given
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(reporting(None), PlainProgress)
