from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import recall_coverage, recall_gate
from benchmarks.results import load

WORDS = ["play jazz", "fly to peru", "rate it", "in peru now"]
TAGS = ["O B-genre", "O O B-country", "O B-thing", "O B-country O"]


@pytest.fixture
def snips(tmp_path) -> Path:
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "seq.in").write_text("\n".join(WORDS) + "\n")
    (folder / "seq.out").write_text("\n".join(TAGS) + "\n")
    return folder


def lines(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text().splitlines()


def test_sentences_with_a_type_are_left_out_or_as_many_by_chance(snips, tmp_path):
    assert recall_gate.leave_out(snips, "country", tmp_path / "without", every=False) == 2
    assert lines(tmp_path / "without", "seq.in") == ["play jazz", "rate it"]
    assert lines(tmp_path / "without", "seq.out") == ["O B-genre", "O B-thing"]
    assert recall_gate.leave_out(snips, "country", tmp_path / "with", every=True, seed=1) == 2
    kept = lines(tmp_path / "with", "seq.in")
    assert [TAGS[WORDS.index(line)] for line in kept] == lines(tmp_path / "with", "seq.out")


def test_a_type_that_no_sentence_has_is_refused(snips, tmp_path):
    with pytest.raises(SystemExit, match="no sentence has the type planet"):
        recall_gate.leave_out(snips, "planet", tmp_path / "without", every=False)


def report(recall: float, verdict: str) -> dict[str, object]:
    drop = {"mean": 0.01, "low": 0.0, "high": 0.02}
    recalls = [{"recall": {"mean": recall}, "drop": {"mean": 0.95 - recall}, "verdict": verdict}]
    crashed = {"drop": None, "recalls": []}
    return {"engines": [{"drop": drop, "recalls": recalls}, crashed]}


def test_models_that_were_never_shown_a_type_are_counted_as_caught(snips, tmp_path, monkeypatch):
    def make(setting: recall_gate.Setting, data: Path, name: str, seed: int) -> Path:
        assert "verify.gate.max_recall_drop={country: 0.1}" in setting.overrides
        bundle = setting.work / f"{name}-{seed}"
        (bundle / "reports").mkdir(parents=True)
        found = report(0.9, "PASS") if name.startswith("with-") else report(0.2, "FAIL")
        (bundle / "reports" / "report.json").write_text(json.dumps(found))
        return bundle

    monkeypatch.setattr(recall_gate, "make", make)
    written = []
    monkeypatch.setattr(recall_gate, "write", written.append)
    folders = ["--data", str(snips), "--eval-data", str(snips), "--work", str(tmp_path / "work")]
    assert recall_gate.main(["--model", "m", "--label", "country", "--seeds", "4", *folders]) == 0
    without, controls = (dict(row.values) for row in written[0].rows)
    assert (without["models"], without["F1 over all passes"], without["caught"]) == (4, 4, 4)
    assert (controls["models"], controls["caught"]) == (3, 0)
    assert without["drop of that recall, points, least"] == pytest.approx(75)
    assert [check.value for check in written[0].checks] == [1, 1]


@pytest.mark.parametrize("case", recall_coverage.CASES[:2], ids=lambda case: case.name)
def test_the_gate_is_as_seldom_wrong_about_recall_as_it_promises(case):
    """Few draws here; ``python -m benchmarks.recall_coverage`` makes many."""
    found = dict(recall_coverage.measure(case, draws=20, samples=300).values)
    # Of 20 draws of 2.5 %, three or more are wrong once in eighty times.
    assert found["wrong PASS %, one label loses what is allowed"] <= 100 * 2 / 20
    assert found["wrong FAIL %, all lose what is allowed"] <= 100 * 2 / 20
    assert found["FAIL %, one label loses three times that"] >= 80
    assert found["PASS %, none loses anything"] >= 80


def test_the_result_of_the_simulation_keeps_its_bar():
    for path in Path("benchmarks/results").glob("*/recall_coverage.json"):
        (check,) = load(path).checks
        assert check.value <= check.bar
