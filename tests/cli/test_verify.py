from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import fake_bundles
import pytest

from edgeroberta import cli
from edgeroberta.evaluation import baseline_store
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.storage import artifact
from edgeroberta.tasks import Outputs

ROWS = 400


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    toy = fake_bundles.write(tmp_path_factory.mktemp("toy"))
    return fake_bundles.write_data(tmp_path_factory.mktemp("data") / "rows.csv", ROWS, toy)


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as leave:
        cli.main([str(word) for word in words])
    return leave.value.code if isinstance(leave.value.code, int) else 0


def test_a_bundle_that_answers_as_its_reference_passes(data, tmp_path, capsys):
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0)
    assert run("verify", bundle, "-o", tmp_path / "report") == 0
    printed = capsys.readouterr()
    said = printed.out
    assert said.startswith("# Verdict: PASS\n")
    assert f"on {ROWS:,} rows" in said
    assert printed.err.endswith(f"written to {tmp_path / 'report' / 'report.html'}\n")
    assert sorted(file.name for file in (tmp_path / "report").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]


def test_a_bundle_that_answers_a_tenth_otherwise_fails_with_exit_3(data, tmp_path, capsys):
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=40)
    assert run("verify", bundle, "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["judgement"]["verdict"] == "FAIL"
    assert found["judgement"]["reason"] == (
        "onnxruntime: the same answer on 90.0% (86.8% to 92.7%) of 400 rows, the gate asks for 95.0%"
    )
    assert found["engines"][0]["flips"] == 40


def test_a_bundle_that_loses_accuracy_fails_on_the_drop(tmp_path, capsys):
    """The baseline is right on 40 rows where the bundle is not; agreement is let through."""
    toy = fake_bundles.write(tmp_path / "toy")
    labelled = fake_bundles.write_data(tmp_path / "rows.csv", ROWS, toy, wrong=40)
    gate = GateLimits(max_drop=0.02, min_agreement=0.5)
    bundle = fake_bundles.with_reports(tmp_path / "bundle", labelled, wrong=40, gate=gate)
    assert run("verify", bundle, "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["engines"][0]["drop"]["mean"] == pytest.approx(0.1)
    assert "the drop of accuracy is +10.0" in found["judgement"]["reason"]


def test_too_few_rows_are_inconclusive_and_say_how_many_more(tmp_path, capsys):
    toy = fake_bundles.write(tmp_path / "toy")
    few = fake_bundles.write_data(tmp_path / "few.csv", 40, toy, wrong=1)
    bundle = fake_bundles.with_reports(tmp_path / "bundle", few, wrong=1)
    assert run("verify", bundle) == 0
    said = capsys.readouterr().out
    assert said.startswith("# Verdict: INCONCLUSIVE\n")
    assert "more rows (" in said


def test_other_rows_than_the_reference_s_are_refused(data, tmp_path, capsys):
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0)
    other = fake_bundles.write_data(tmp_path / "other.csv", 50, bundle)
    assert run("verify", bundle, "--data", other, "--eval-data", other) == 2
    assert capsys.readouterr().err == (
        f"error: --reference: the reference was measured on other rows (400 of {data}; here 50 of {other})\n"
        "  next: measure it again on the same model and data: "
        "edgeroberta reference MODEL --data … -o ref/, "
        "with the --eval-fraction, --seed and --limit that hold the same rows out here\n"
    )


def test_a_reference_for_other_rows_can_be_given(data, tmp_path, capsys):
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=40)
    stored = baseline_store.load(bundle / "reports" / "reference")
    logits = stored.outputs.values.copy()
    logits[:40] *= -1  # what the bundle says after all
    baseline_store.save(replace(stored, outputs=Outputs.of_texts(logits)), tmp_path / "ref")
    assert run("verify", bundle, "--reference", tmp_path / "ref") == 0
    assert capsys.readouterr().out.startswith("# Verdict: PASS\n")


def test_a_bundle_without_a_report_has_no_gate(data, tmp_path, capsys):
    bundle = fake_bundles.write(tmp_path / "bundle", data=data)
    assert run("verify", bundle) == 1
    assert capsys.readouterr().err == (
        f"error: {bundle}/reports/report.json: the bundle carries no report, "
        "so there is no gate to hold it to\n"
        "  next: make it with a recipe that has a verify stage, such as int8\n"
    )


def test_a_damaged_bundle_is_a_failed_engine(data, tmp_path, capsys):
    bundle = fake_bundles.with_reports(tmp_path / "bundle", data, wrong=0)
    graph = bytearray((bundle / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(bytes(graph))
    assert run("verify", bundle, "--json") == 3
    reason = json.loads(capsys.readouterr().out)["judgement"]["reason"]
    assert reason.startswith(f"onnxruntime: failed: {bundle}/model.onnx: damaged")


@pytest.mark.parametrize("option", ["--text", "--label", "--eval-data"])
def test_a_column_without_data_is_refused(option, tmp_path, capsys):
    assert run("verify", tmp_path, option, "x") == 2
    assert capsys.readouterr().err == (
        f"error: {option}: {option} is given but no --data\n  next: add --data FILE\n"
    )


def test_data_that_is_gone_is_asked_for(tmp_path, capsys):
    toy = fake_bundles.write(tmp_path / "toy")
    rows = fake_bundles.write_data(tmp_path / "rows.csv", 20, toy)
    bundle = fake_bundles.with_reports(tmp_path / "bundle", rows, wrong=0)
    rows.unlink()
    assert run("verify", bundle) == 2
    said = capsys.readouterr().err
    assert "the data that the bundle was made with cannot be read here" in said
    assert "next: name it: --data FILE" in said


@pytest.fixture
def unfair(tmp_path) -> Path:
    """A bundle that is wrong on 20 of 60 rows of one dialect, of 400, and on none of the others."""
    toy = fake_bundles.write(tmp_path / "toy")
    file = fake_bundles.write_data(tmp_path / "rows.csv", ROWS, toy, wrong=20)
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    dialects = ("scots" if row < 60 else "irish" if row < 68 else "standard" for row in range(ROWS))
    told = [f"{line},{dialect}" for line, dialect in zip(lines, dialects, strict=True)]
    file.write_text("\n".join([f"{head},dialect", *told]) + "\n", encoding="utf-8")
    gate = GateLimits(max_drop=0.1, min_agreement=0.9)
    return fake_bundles.with_reports(tmp_path / "bundle", file, wrong=20, gate=gate)


def test_a_bundle_that_is_wrong_on_one_dialect_passes_its_gate_and_not_that_of_slices(unfair, capsys):
    assert run("verify", unfair, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["judgement"]["verdict"], found["slices"]) == ("PASS", None)
    assert run("verify", unfair, "--slices", "column=dialect", "--max-slice-drop", "0.05", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert found["judgement"]["reason"].startswith(
        "onnxruntime: the drop of accuracy in slice dialect=scots is +33.3 (+1"
    )
    assert [each["verdict"] for each in found["engines"][0]["slices"]] == ["INCONCLUSIVE", "FAIL", "PASS"]
    assert found["gate"]["slices"] == {"max_drop": 0.05, "min_agreement": None}


def test_slices_alone_are_told_and_decide_nothing(unfair, capsys):
    assert run("verify", unfair, "--slices", "column=dialect", "--slices", "length", "--slices", "label") == 0
    said = capsys.readouterr().out
    assert said.startswith("# Verdict: PASS\n")
    assert "| onnxruntime | dialect=scots | 60 | accuracy |" in said


def test_slices_that_the_bundle_was_judged_by_are_measured_again(unfair, capsys):
    assert run("verify", unfair, "--slices", "column=dialect", "--max-slice-drop", "0.05", "--json") == 3
    file = unfair / "reports" / "report.json"
    kept = json.loads(capsys.readouterr().out)
    artifact.write_json(file, kept)
    fake_bundles.seal(unfair, data=unfair.parent / "rows.csv")
    assert run("verify", unfair, "--json") == 3
    again = json.loads(capsys.readouterr().out)
    assert again["engines"][0]["slices"] == kept["engines"][0]["slices"]
    artifact.write_json(file, {**kept, "slices": {"columns": 3}})
    assert run("verify", unfair) == 1
    assert "report.json: damaged: not a report" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slices", "dialect"], "error: --slices: there are no slices by 'dialect'"),
        (["--slices", "column=dialekt"], "no column 'dialekt' to tell rows apart by; the columns are"),
        (["--slices", "column=text"], "column 'text' has 400 different values in 400 rows"),
        (
            ["--slices", "length", "--slices", "length=30"],
            "error: --slices: slices by length are asked for twice",
        ),
        (["--slices", "words=none.txt"], "error: none.txt: no such file of words"),
        (
            ["--max-slice-drop", "0.1"],
            "error: --max-slice-drop: a loss on slices is bounded, and no slices are",
        ),
        (
            ["--slices", "label", "--max-slice-drop", "3"],
            "error: --max-slice-drop: must be from 0 to 1, not 3",
        ),
    ],
)
def test_slices_that_make_no_sense_are_refused(unfair, capsys, words, said):
    assert run("verify", unfair, *words) == 2
    assert said in capsys.readouterr().err
