from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import demo
from edgeroberta.errors import EdgeRobertaError

MAKEFILE = """\
.venv/stamps/demo:
\tmkdir -p $(@D) && touch $@
demo: .venv/stamps/demo
\ttest ! -e out/demo
\techo run >> "$(EDGEROBERTA_CACHE)"
\tmkdir -p out/demo/reports && cp bench.json out/demo/reports/
"""


def bench_row(
    name: str, metric: float | None, rounds: list[float] | None, status: str = "ok"
) -> dict[str, Any]:
    latency = None
    if rounds:
        percentiles = {"p50_ms": rounds[0], "p90_ms": rounds[0], "p99_ms": rounds[0]}
        latency = {**percentiles, "calls": 100, "warmup": 10, "round_p50_ms": rounds}
    return {
        "name": name, "engine": "engine 1.0", "metric": metric, "agreement": 1.0, "bytes": 30_000_000,
        "latency": latency, "detail": "it crashed", "status": status,
    }  # fmt: skip


TABLE = {
    "rows": [
        bench_row("reference", 0.82, [3.0, 5.0], "stored"),
        bench_row("baseline", 0.82, [10.0, 20.0]),
        bench_row("baseline, onnx fp32", 0.80, [4.0, 8.0]),
        bench_row("bundle", 0.79, [1.0, 2.0]),
        bench_row("bundle", None, None, "failed"),
    ]
}


@pytest.fixture
def repository(tmp_path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    (folder / "bench.json").write_text(json.dumps(TABLE), encoding="utf-8")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def test_the_demo_is_installed_and_run_twice_with_the_output_removed_between(repository, tmp_path):
    cache = tmp_path / "cache"
    rows = demo.timed_runs(repository, cache, sys.executable)
    assert [row.name for row in rows] == ["install", "cold", "cached"]
    assert cache.read_text(encoding="utf-8") == "run\nrun\n"
    assert all(dict(row.values)["seconds"] < 30 for row in rows)


def test_a_make_that_fails_is_an_error_with_its_last_words(repository, tmp_path):
    with pytest.raises(EdgeRobertaError, match="make nothing failed") as caught:
        demo.make(repository, tmp_path / "cache", sys.executable, "nothing")
    assert "No rule to make target" in str(caught.value)


def test_the_table_is_taken_over_with_ratios_against_fp32_onnx(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "bench.json").write_text(json.dumps(TABLE), encoding="utf-8")
    reference, baseline, float_onnx, bundle, crashed = demo.bench_rows(tmp_path)
    assert reference.ratio is None
    assert (baseline.ratio, float_onnx.ratio, bundle.ratio) == (0.4, 1.0, 4.0)
    assert (bundle.accuracy, bundle.size_mb) == (0.79, 30.0)
    assert (crashed.status, crashed.error) == ("failed", "it crashed")


def test_the_promises_are_held_against_the_faster_engine():
    seconds = [demo.Row(name=name, title=name, values=(("seconds", 100.0),)) for name in ("cold", "cached")]
    table = [demo._bench_row(row, TABLE["rows"][2]) for row in TABLE["rows"]]
    found = {check.title: (check.value, check.ok) for check in demo.checks([*seconds, *table])}
    assert found == {
        "make demo, empty cache, after installation": (100.0, True),
        "make demo, teacher cached": (100.0, True),
        "demo student: p50 against the baseline as fp32 ONNX": (4.0, True),
        "demo student: share of the baseline's accuracy": (0.9875, True),
    }
