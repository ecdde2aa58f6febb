"""The packaged default: its teacher is fine-tuned once, and kept in the cache."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_stages
import pytest

from edgeroberta import recipe
from edgeroberta.data import DataSpec
from edgeroberta.pipeline import compression
from edgeroberta.pipeline.compression_inputs import CompressionRequest
from edgeroberta.progress import PlainProgress, Progress
from edgeroberta.storage.cache import cache_dir

TEACHER = ("finetune", "step", "step", "step")


@pytest.fixture
def packaged(tmp_path, monkeypatch, tiny_headless_checkpoint) -> Path:
    """Quick stages and a tiny data set in place of the packaged default; the log of what ran."""
    rows = tmp_path / "rows.csv"
    with rows.open("w", newline="") as handle:
        csv.writer(handle).writerows(
            [("text", "label"), *((f"film {i}", ("negative", "positive")[i % 2]) for i in range(40))]
        )
    base = tmp_path / "base"
    base.mkdir()
    shutil.copyfile(tiny_headless_checkpoint / "config.json", base / "config.json")
    sources = SimpleNamespace(base=base, data=DataSpec(str(rows)))
    monkeypatch.setattr("edgeroberta.demo.prepare", lambda cache: sources)
    log = tmp_path / "runs.log"
    whole = fake_stages.recipe(log)
    compress_only = replace(whole, stages=whole.stages[1:])
    chosen = {compression.TEACHER_RECIPE: whole, "int8": compress_only, "from-base": whole}
    monkeypatch.setattr(recipe, "load", lambda name, overrides=(): chosen[name])
    # There is no model in the folders of the quick stages that could be read wrongly.
    monkeypatch.setattr(compression.preflight, "check_stages", lambda steps, job: None)
    monkeypatch.setattr(compression.preflight, "check", lambda steps, job, partly=False: ())
    return log


def request(folder: Path, **fields: Any) -> CompressionRequest:
    defaults: dict[str, Any] = {
        "model": None,
        "data": None,
        "recipe": "int8",
        "overrides": (),
        "target": "cpu",
        "output": folder / "out",
        "work": None,
        "reference": None,
    }
    return CompressionRequest(**{**defaults, **fields})


def test_the_teacher_is_fine_tuned_once_for_every_output(packaged, tmp_path):
    compression.compress(request(tmp_path), progress=Progress())
    assert fake_stages.started(packaged) == [*TEACHER, *fake_stages.NAMES[1:]]
    compression.compress(request(tmp_path, output=tmp_path / "other"), progress=Progress())
    assert fake_stages.started(packaged)[8:] == list(fake_stages.NAMES[1:])


def test_the_teacher_lies_in_the_cache_and_is_what_the_stages_start_from(packaged, tmp_path):
    result = compression.compress(request(tmp_path), progress=Progress())
    (teacher,) = (cache_dir() / "teacher").glob("00-finetune-*")
    assert (teacher / "config.json").is_file()
    assert result.stages[0].artifact.lineage.stage == "export"
    assert not list((tmp_path / "out.work").glob("*finetune*"))


def test_using_the_packaged_default_is_said(packaged, tmp_path, capsys):
    import sys

    compression.compress(request(tmp_path), progress=PlainProgress(sys.stderr))
    assert capsys.readouterr().err.startswith(
        "no MODEL and no --data: using the packaged default, granite-embedding-30m-english "
        "(dequantized from int8) and Rotten Tomatoes sentences\n"
    )


def test_the_packaged_default_goes_to_out_demo(packaged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = compression.compress(request(tmp_path, output=None), progress=Progress())
    assert result.bundle == tmp_path / "out" / "demo"


def test_a_recipe_that_fine_tunes_starts_from_the_packaged_base_model(packaged, tmp_path):
    result = compression.compress(request(tmp_path, recipe="from-base"), progress=Progress())
    assert result.stages[0].artifact.lineage.stage == "finetune"
    assert not (cache_dir() / "teacher").exists()


def test_a_preview_knows_whether_the_teacher_is_there(packaged, tmp_path):
    before = compression.preview(request(tmp_path))
    assert (before.fine_tunes_packaged_model, sum(before.reused)) == (True, 0)
    assert not (cache_dir() / "teacher").exists()
    compression.compress(request(tmp_path), progress=Progress())
    after = compression.preview(request(tmp_path))
    assert (after.fine_tunes_packaged_model, sum(after.reused)) == (False, 4)
    assert not any(compression.preview(request(tmp_path, target="intel-cpu")).reused)


def test_another_limit_fine_tunes_another_teacher(packaged, tmp_path):
    compression.compress(request(tmp_path), progress=Progress())
    compression.compress(request(tmp_path, limit=30), progress=Progress())
    assert fake_stages.started(packaged).count("finetune") == 2
