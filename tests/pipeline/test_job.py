from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_stages

from edgeroberta import pipeline
from edgeroberta.pipeline.job import Job, start
from edgeroberta.progress import Progress


def _run(job: Job) -> list[str]:
    """Run the five stages and return the names of those that ran, without training steps."""
    log = job.work.with_name("runs.log")
    before = len(fake_stages.started(log))
    pipeline.run(fake_stages.recipe(log), job, progress=Progress())
    return [name for name in fake_stages.started(log)[before:] if name != "step"]


def test_other_held_out_rows_verify_again_and_no_more(tmp_path: Path) -> None:
    job = fake_stages.job(tmp_path)
    _run(job)
    other = replace(job.data, heldout=fake_stages.rows("fine", "finer"))
    assert _run(replace(job, data=other)) == ["verify", "bundle"]
    for part in ("train", "validation", "unlabelled"):
        changed = replace(job.data, **{part: fake_stages.rows("new", part)})
        assert _run(replace(job, data=changed)) == list(fake_stages.NAMES), part


def test_the_lineage_tells_a_model_of_the_hub_from_a_folder(tmp_path: Path) -> None:
    job = fake_stages.job(tmp_path)

    def config(**source: Any) -> Any:
        return start(replace(job, source=source)).history[0].config

    assert config(model="someone/roberta", data={})["hub_id"] == "someone/roberta"
    assert "hub_id" not in config(model=str(job.model), data={})
    assert "hub_id" not in config(model="packaged")
