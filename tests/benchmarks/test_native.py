from __future__ import annotations

import json
import sys

import fake_bundles
import pytest

from benchmarks import native
from benchmarks.results import load

SAID = {"p50_ms": 3.0, "processor_p50_ms": 2.0, "processor_p99_ms": 4.0}


def test_both_run_in_each_round_and_the_next_begins_with_the_other(tmp_path):
    log = tmp_path / "log"

    def said(name: str) -> list[str]:
        code = f"print({name!r}, file=open({str(log)!r}, 'a')); print({json.dumps(json.dumps(SAID))})"
        return [sys.executable, "-c", code]

    found = native.measured({name: said(name) for name in native.PROGRAMS}, 2)
    assert log.read_text().split() == ["cpp", "python", "python", "cpp"]
    assert found == {name: [SAID, SAID] for name in native.PROGRAMS}


def test_the_ratio_is_the_median_of_the_rounds():
    slower = {**SAID, "processor_p50_ms": 2.2}
    found = {"python": [slower, slower, SAID], "cpp": [SAID, SAID, SAID]}
    assert native.ratios(found) == pytest.approx([1.1, 1.1, 1.0])
    made = native.row("cpp", found)
    assert made.ratio == 1.1
    assert dict(made.values)["in the worst round"] == 1.0
    assert native.row("python", found).ratio == 1.0


def test_the_python_half_times_each_call(tmp_path, monkeypatch):
    monkeypatch.setattr(native, "WARM_UP", 1)
    found = native.python_half(str(fake_bundles.write(tmp_path / "bundle")), ["film", "plot"], 5)
    assert 0 < found["processor_p50_ms"] <= found["processor_p99_ms"]


def test_a_result_tells_whether_the_bar_was_reached(tmp_path, monkeypatch):
    texts = tmp_path / "texts"
    texts.write_text("film\u2028\x85 a\nplot\n", encoding="utf-8")
    slow = {**SAID, "processor_p50_ms": 2.5}
    monkeypatch.setattr(native, "measured", lambda *_: {"python": [SAID], "cpp": [slow]})
    monkeypatch.setattr(native, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["native", "program", "bundle", str(texts), "--machine", "here"])
    native.main()
    found = load(tmp_path / "here" / "native.json")
    assert found.checks[0].value == 0.8
    assert not found.checks[0].ok
    assert found.settings["texts"] == 2
