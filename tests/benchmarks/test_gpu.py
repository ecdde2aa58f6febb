"""The GPU script, as far as a machine without a GPU can tell."""

from __future__ import annotations

import math
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.results import load, this_machine
from edgeroberta import demo
from edgeroberta.errors import EdgeRobertaError


def make_run(folder: Path, seconds: float = math.inf) -> gpu.Run:
    return gpu.Run(this_machine("here"), folder, time.monotonic() + seconds, {"device": "cpu"})


def test_every_row_is_written_at_once_and_a_failure_is_a_row(tmp_path):
    run = make_run(tmp_path)

    def fail() -> dict[str, float]:
        raise RuntimeError("CUDA error: out of memory")

    run.row("a", "float32", "group", lambda: {"accuracy": 0.5})
    assert [row.status for row in load(tmp_path / "here" / "gpu.json").rows] == ["ok"]
    run.row("b", "float16", "group", fail)
    first, second = load(tmp_path / "here" / "gpu.json").rows
    assert first.accuracy == 0.5
    assert (second.status, second.error) == ("failed", "CUDA error: out of memory")


def test_no_row_is_begun_when_the_time_is_nearly_used_up(tmp_path):
    run = make_run(tmp_path, seconds=gpu.LEAST_SECONDS - 1)
    run.row("a", "float32", "group", lambda: pytest.fail("begun"))
    (row,) = load(tmp_path / "here" / "gpu.json").rows
    assert (row.status, row.error) == ("failed", "no time was left for it")


def test_a_mistake_in_the_script_is_no_row(tmp_path):
    with pytest.raises(KeyError):
        make_run(tmp_path).row("a", "float32", "group", lambda: {}["missing"])


def test_the_pack_has_the_encoder_and_all_reviews(monkeypatch, tmp_path):
    files = {package: tmp_path / Path(inside).name for package, inside in (demo.PACK, demo.REVIEWS)}
    for package, file in files.items():
        file.write_text(f"of {package}", encoding="utf-8")
    monkeypatch.setattr(demo, "packaged", lambda package, inside: files[package])
    monkeypatch.setattr(gpu.subprocess, "run", lambda command: subprocess.CompletedProcess(command, 0))
    gpu.pack(tmp_path / "pack", "3.12")
    for package, inside in (demo.PACK, demo.REVIEWS):
        assert (tmp_path / "pack" / package / inside).read_text(encoding="utf-8") == f"of {package}"


def test_without_a_gpu_the_script_ends_with_4_and_says_what_would_work(monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 4
    assert "sees no CUDA device" in capsys.readouterr().err


def test_packing_without_the_demo_packages_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(EdgeRobertaError, match="demo"):
        gpu.pack(tmp_path, "3.12")
