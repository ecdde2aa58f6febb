from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_stages
import pytest
from fake_stages import CHECKPOINT, GRAPH, FakeConfig

from edgeroberta import pipeline, stages
from edgeroberta.errors import CheckpointError
from edgeroberta.pipeline.job import PipelineJob, _settings, name_and_key, start
from edgeroberta.progress import Progress
from edgeroberta.recipe import RecipeStep
from edgeroberta.runtime import processor
from edgeroberta.stages import Stage


def _run(job: PipelineJob) -> list[str]:
    """Run the five stages and return the names of those that ran, without training steps."""
    log = job.work.with_name("runs.log")
    before = len(fake_stages.started(log))
    pipeline.run(fake_stages.recipe(log), job, progress=Progress())
    return [name for name in fake_stages.started(log)[before:] if name != "step"]


def test_other_held_out_rows_verify_again_and_no_more(tmp_path):
    job = fake_stages.job(tmp_path)
    _run(job)
    other = replace(job.data, heldout=fake_stages.rows("fine", "finer"))
    assert _run(replace(job, data=other)) == ["verify", "bundle"]
    for part in ("train", "validation", "unlabelled"):
        changed = replace(job.data, **{part: fake_stages.rows("new", part)})
        assert _run(replace(job, data=changed)) == list(fake_stages.NAMES), part


def test_the_lineage_tells_a_model_of_the_hub_from_a_folder(tmp_path):
    job = fake_stages.job(tmp_path)

    def config(**source: Any) -> Any:
        return start(replace(job, source=source)).history[0].config

    assert config(model="someone/roberta", data={})["hub_id"] == "someone/roberta"
    assert "hub_id" not in config(model=str(job.model), data={})
    assert "hub_id" not in config(model="packaged")
    spec = {"data": "nyu/glue:sst2", "eval_data": str(tmp_path)}
    assert config(model="someone/roberta", data=spec)["hub_datasets"] == ["nyu/glue:sst2"]
    assert "hub_datasets" not in config(model="someone/roberta", data={"data": "rows.csv", "eval_data": None})


def test_the_key_of_a_stage_depends_on_the_content_of_the_folders_it_names(tiny_checkpoint, tmp_path):
    def key(folder: Path) -> str:
        stage = stages.get("distill")
        step = RecipeStep(stage, stage.config(teacher=str(folder)))
        job = fake_stages.job(tmp_path)
        return name_and_key(0, step, start(job), job, "")[1]

    first, second = (Path(shutil.copytree(tiny_checkpoint, tmp_path / name)) for name in ("a", "b"))
    assert key(first) == key(second)
    (second / "optimizer.pt").write_bytes(b"state")
    assert key(first) == key(second)
    config = second / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    assert key(first) != key(second)
    with pytest.raises(CheckpointError) as caught:
        key(tmp_path / "absent")
    assert caught.value.where == "distill.teacher"


def test_the_key_of_verify_depends_on_names_of_lists_and_the_content_of_files(tmp_path):
    def settings(*swaps: str) -> dict[str, Any]:
        return _settings(stages.get("verify").config(swaps=swaps), "verify")

    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text('pairs = [["he", "she"]]')
    shutil.copyfile(first, second)
    assert settings("gender")["swaps"] == ["gender"]
    assert settings("gender", str(first)) == settings("gender", str(second))
    second.write_text('pairs = [["man", "woman"]]')
    assert settings("gender", str(first)) != settings("gender", str(second))


def _prune_key(job: PipelineJob, **budget: Any) -> str:
    stage = stages.get("prune")
    config = stage.config(budget=budget) if budget else stage.config()
    return name_and_key(0, RecipeStep(stage, config), start(job), job, "")[1]


def test_only_a_budget_of_measured_seconds_depends_on_target_and_machine(tmp_path, monkeypatch):
    job = fake_stages.job(tmp_path)
    other = replace(job, target=replace(job.target, threads=job.target.threads + 1))
    fresh = {name: _prune_key(job, **{name: 0.5}) for name in ("params", "macs", "latency")}
    for name, key in fresh.items():
        assert (_prune_key(other, **{name: 0.5}) != key) == (name == "latency")
    assert _prune_key(other) == _prune_key(job)
    monkeypatch.setattr(processor, "identity", lambda: "another processor")
    for name, key in fresh.items():
        assert (_prune_key(job, **{name: 0.5}) != key) == (name == "latency")


def test_a_named_table_counts_by_its_content_and_not_by_the_machine(tmp_path, monkeypatch):
    job, first, second = fake_stages.job(tmp_path), tmp_path / "a.json", tmp_path / "b.json"
    for file in (first, second):
        file.write_text("{}")
    key = _prune_key(job, latency=0.5, table=str(first))
    assert _prune_key(job, latency=0.5, table=str(second)) == key
    monkeypatch.setattr(processor, "identity", lambda: "another processor")
    assert _prune_key(job, latency=0.5, table=str(first)) == key
    second.write_text("{ }")
    assert _prune_key(job, latency=0.5, table=str(second)) != key
    with pytest.raises(CheckpointError) as caught:
        _prune_key(job, latency=0.5, table=str(tmp_path / "absent.json"))
    assert caught.value.where == "prune.budget.table"


def test_a_teacher_named_in_the_settings_of_the_recovery_counts_by_its_content(tiny_checkpoint, tmp_path):
    stage = stages.get("prune")
    job = fake_stages.job(tmp_path)
    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))

    def key(folder: Path) -> str:
        step = RecipeStep(stage, stage.config(recovery={"teacher": str(folder)}))
        return name_and_key(0, step, start(job), job, "")[1]

    before = key(copy)
    assert before == key(tiny_checkpoint)
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"gelu"', '"relu"'))
    assert key(copy) != before


@pytest.mark.parametrize("trains", [False, True])
def test_another_version_of_torch_makes_those_graphs_again_that_are_trained(tmp_path, monkeypatch, trains):
    job = fake_stages.job(tmp_path)
    stage = Stage("static", FakeConfig, fake_stages.export, (CHECKPOINT,), GRAPH, trains)
    step, there = RecipeStep(stage, FakeConfig(log=tmp_path / "runs.log")), {}
    monkeypatch.setattr(
        "edgeroberta.pipeline.job.versions",
        lambda packages: {name: there[name] for name in packages if name in there},
    )

    def key(torch: str) -> str:
        there["torch"] = torch
        return name_and_key(0, step, start(job), job, "")[1]

    assert key("2.12.0") == key("2.12.1")
    assert (key("2.12.0") != key("2.13.0")) is trains
