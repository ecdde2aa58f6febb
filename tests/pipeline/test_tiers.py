"""Cascades in the pipeline: the stages of all tiers, each artifact made once, and the draft of all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_stages
import pytest
from fake_stages import CHECKPOINT, DRAFT, FakeConfig

from edgeroberta import pipeline
from edgeroberta.context import Context
from edgeroberta.pipeline import dry_run
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.progress import PlainProgress, Progress
from edgeroberta.recipe import Recipe, RecipeStep, Tier
from edgeroberta.stages import Stage
from edgeroberta.storage.artifact import digest_value, write_text

_, EXPORT, BUILD, VERIFY, BUNDLE = fake_stages.STAGES
MADE = ["shrink", "export", "build", "export", "build", "cascade", "verify", "bundle"]


class CascadeConfig(FakeConfig):
    tiers: tuple[str, ...] = ()

    def depends(self) -> tuple[str, ...]:
        return ("fresh_data",)


def shrink(config: FakeConfig, context: Context) -> Mapping[str, Any]:
    fake_stages.note(config.log, "shrink")
    write_text(context.output / "config.json", f'{{"value": {config.value}}}')
    return {}


def cascade(config: FakeConfig, context: Context) -> Mapping[str, Any]:
    fake_stages.note(config.log, "cascade")
    drafts = {name: made.path for name, made in context.tiers.items()}
    write_text(context.output / "drafts.txt", digest_value([str(path) for path in drafts.values()]))
    return {"names": list(drafts), "drafts": [path.name for path in drafts.values()]}


SHRINK = Stage("shrink", FakeConfig, shrink, (CHECKPOINT,), CHECKPOINT, False)
CASCADE = Stage("cascade", CascadeConfig, cascade, (CHECKPOINT,), DRAFT, False)


def recipe(folder: Path, small: str = "small", **settings: Mapping[str, Any]) -> Recipe:
    """Two tiers, of which the first has a stage more; ``settings`` by the name of the stage, of all tiers."""

    def step(stage: Stage, *tiers: Tier) -> RecipeStep:
        config = {"log": folder / "runs.log", **settings.get(stage.name, {})}
        return RecipeStep(stage, stage.config.model_validate(config), tiers)

    first = Tier(small, (step(SHRINK), step(EXPORT), step(BUILD)))
    last = Tier("large", (step(EXPORT), step(BUILD)))
    steps = (step(CASCADE, first, last), step(VERIFY), step(BUNDLE))
    return Recipe("fake", "for tests", steps, "fake.yaml", "name: fake\n")


@pytest.fixture
def job(tmp_path) -> PipelineJob:
    return fake_stages.job(tmp_path)


def run(job: PipelineJob, made: Recipe, progress: Progress | None = None) -> list[str]:
    """Run a recipe; returns the stages that ran."""
    log = made.stages[0].config.log  # type: ignore[attr-defined]
    before = len(fake_stages.started(log))
    pipeline.run(made, job, progress=progress or Progress())
    return fake_stages.started(log)[before:]


def test_the_tiers_are_made_before_the_cascade_which_gets_their_drafts(job, tmp_path):
    result = pipeline.run(recipe(tmp_path), job, progress=Progress())
    assert fake_stages.started(tmp_path / "runs.log") == MADE
    assert [(made.artifact.tier, made.artifact.lineage.stage) for made in result.stages] == [
        ("small", "shrink"), ("small", "export"), ("small", "build"),
        ("large", "export"), ("large", "build"),
        (None, "cascade"), (None, "verify"), (None, "bundle"),
    ]  # fmt: skip
    joined = result.stages[5].artifact.lineage
    assert joined.notes["names"] == ["small", "large"]
    builds = [made.artifact for made in result.stages if made.artifact.lineage.stage == "build"]
    assert joined.notes["drafts"] == [made.path.name for made in builds]
    assert {name: joined.inputs[f"tier {name}"] for name in ("small", "large")} == {
        made.tier: made.lineage.content for made in builds
    }


def test_every_tier_begins_with_the_model_before_the_cascade(job, tmp_path):
    result = pipeline.run(recipe(tmp_path), job, progress=Progress())
    shrunk, small, _, large, *_ = (made.artifact.lineage for made in result.stages)
    assert small.inputs["checkpoint"] == shrunk.content
    assert large.inputs["checkpoint"] == job.model.digest != shrunk.content


def test_the_history_of_a_bundle_has_the_stages_of_all_tiers(job, tmp_path):
    seen: list[Context] = []

    def look(config: FakeConfig, context: Context) -> Mapping[str, Any]:
        seen.append(context)
        return fake_stages.verify(config, context)

    made = recipe(tmp_path)
    steps = (made.stages[0], made.stages[1]._replace(stage=replace(VERIFY, run=look)), made.stages[2])
    pipeline.run(replace(made, stages=steps), job, progress=Progress())
    (context,) = seen
    assert [(tier, lineage.stage) for lineage, tier in context.told] == [
        (None, "source"),
        ("small", "shrink"), ("small", "export"), ("small", "build"),
        ("large", "export"), ("large", "build"),
        (None, "cascade"),
    ]  # fmt: skip


def test_the_same_run_again_runs_nothing(job, tmp_path):
    assert run(job, recipe(tmp_path)) == MADE
    assert run(job, recipe(tmp_path)) == []


def test_what_a_recipe_without_the_other_tier_makes_is_the_same_artifact(job, tmp_path):
    """It has the same name and key, whatever the tier is called."""
    run(job, recipe(tmp_path))
    alone = recipe(tmp_path).stages[0].tiers[1].steps
    made = pipeline.make(alone, job, progress=Progress())
    assert [each.reused for each in made] == [True, True]
    assert run(job, recipe(tmp_path, small="tiny")) == ["cascade"]  # whose draft is the same here


def test_tiers_that_begin_alike_share_what_they_have_in_common(job, tmp_path):
    made = recipe(tmp_path)
    cascade = made.stages[0]
    twice = cascade._replace(tiers=(cascade.tiers[1], Tier("other", cascade.tiers[1].steps)))
    assert run(job, replace(made, stages=(twice, *made.stages[1:]))) == [
        "export",
        "build",
        "cascade",
        "verify",
        "bundle",
    ]


def test_a_change_in_one_tier_leaves_the_other_alone(job, tmp_path):
    run(job, recipe(tmp_path))
    assert run(job, recipe(tmp_path, shrink={"value": 1})) == [
        "shrink", "export", "build", "cascade", "verify", "bundle",
    ]  # fmt: skip


def test_another_promise_makes_no_model_again(job, tmp_path):
    run(job, recipe(tmp_path))
    assert run(job, recipe(tmp_path, cascade={"value": 1}))[0] == "cascade"


def test_other_rows_for_the_thresholds_make_no_model_again(job, tmp_path):
    run(job, recipe(tmp_path))
    fresh = replace(job, data=replace(job.data, fresh=job.data.train))
    assert run(fresh, recipe(tmp_path))[0] == "cascade"


def test_a_killed_run_continues_in_the_tier_where_it_was(job, tmp_path):
    made = recipe(tmp_path)

    def killed(config: FakeConfig, context: Context) -> Mapping[str, Any]:
        raise KeyboardInterrupt

    first, last = made.stages[0].tiers
    broken = Tier("large", (last.steps[0], last.steps[1]._replace(stage=replace(BUILD, run=killed))))
    steps = (made.stages[0]._replace(tiers=(first, broken)), *made.stages[1:])
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(replace(made, stages=steps), job, progress=Progress())
    assert run(job, made) == ["build", "cascade", "verify", "bundle"]


def test_a_run_says_which_tier_it_is_at(job, tmp_path, capsys):
    run(job, recipe(tmp_path), PlainProgress(sys.stdout))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "[1/8] small: shrink",
        "[2/8] small: export",
        "[3/8] small: build",
        "[4/8] large: export",
    ]
    assert lines[5] == "[6/8] cascade"


def test_a_dry_run_tells_the_stages_of_every_tier_and_which_are_done(job, tmp_path):
    run(job, recipe(tmp_path))
    changed = recipe(tmp_path, shrink={"value": 1})
    there = pipeline.plan(changed.stages, job, recipe_text=changed.text)
    preview = dry_run.Preview(changed, job, tuple(made is not None for made in there))
    told = [(each.get("tier"), each["stage"], each["reused"]) for each in stages_of(preview)]
    assert told == [
        ("small", "shrink", False), ("small", "export", False), ("small", "build", False),
        ("large", "export", True), ("large", "build", True),
        (None, "cascade", False), (None, "verify", False), (None, "bundle", False),
    ]  # fmt: skip


def stages_of(preview: dry_run.Preview) -> list[dict[str, Any]]:
    """The stages that a preview tells, without what it says of the model."""
    return [
        {"tier": placed.tier, "stage": placed.step.stage.name, "reused": done}
        for placed, done in preview.placed()
    ]


def test_large_outputs_of_a_teacher_are_removed_once_a_run_is_through(job, tmp_path, monkeypatch):
    kept = job.work / "teacher" / "outputs"
    run(job, recipe(tmp_path))
    kept.parent.mkdir()
    kept.write_bytes(b"0" * 100)
    run(job, recipe(tmp_path, verify={"value": 1}))
    assert kept.is_file()
    monkeypatch.setattr(pipeline.workspace, "MOST_KEPT", 99)
    run(job, recipe(tmp_path, verify={"value": 2}))
    assert not kept.parent.exists()
