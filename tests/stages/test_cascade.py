"""The stage that joins several drafts: it chooses thresholds on rows that nothing has seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_bundles
import fake_cascades
import numpy as np
import pytest
from fake_progress import Heard

from edgeroberta import cascade as cascade_package
from edgeroberta import targets
from edgeroberta.context import Context, RunOutline
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.errors import RecipeError
from edgeroberta.evaluation import tier_answers
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import Runtime, manifest
from edgeroberta.stages.cascade import CascadeConfig, _check, cascade
from edgeroberta.storage.artifact import Artifact, Kind, Lineage
from edgeroberta.tasks import Problem, Task

TIERS = [{"name": name, "stages": [{"export": {}}, {"build": {}}]} for name in ("tiny", "int8")]


def config(**settings: Any) -> CascadeConfig:
    return CascadeConfig.model_validate({"tiers": TIERS, **settings})


def rows(count: int, seed: int, *, last: Path) -> Rows:
    """Random texts, labelled as the last tier answers but for one in ten."""
    random = np.random.default_rng(seed)
    texts = tuple(" ".join(random.choice(fake_bundles.WORDS, 5)) + f" {seed} {row}" for row in range(count))
    with Runtime.open(last) as runtime:
        labels = runtime.logits(texts).argmax(1)
    labels[::10] = 1 - labels[::10]
    return Rows(texts, None, labels, "reviews.csv")


def draft(folder: Path, tier: str) -> Artifact:
    lineage = Lineage("build", tier, {}, 0, {}, {}, 1.0, content=tier)
    return Artifact(folder, Kind.DRAFT, lineage, tier)


@pytest.fixture(autouse=True)
def _large_tier_takes_longer(monkeypatch):
    """Both are toys, and a tier that saves no time is not asked."""
    seconds = {"tiny": 0.1, "int8": 1.0}
    monkeypatch.setattr(tier_answers, "_mean_seconds", lambda run: seconds[run.name])


@pytest.fixture
def context(tmp_path, tiny_checkpoint) -> Context:
    first = fake_cascades.write_draft(tmp_path / "tiny", noise=0.2, cut=True)
    last = fake_cascades.write_draft(tmp_path / "int8")
    validation, fresh = (rows(count, seed, last=last) for seed, count in enumerate((200, 400)))
    (tmp_path / "output").mkdir()
    source = Artifact(tiny_checkpoint, Kind.CHECKPOINT, Lineage("source", "", {}, 0, {}, {}, 0.0))
    made = (source, draft(first, "tiny"), draft(last, "int8"))
    return Context(
        output=tmp_path / "output",
        scratch=tmp_path / "scratch",
        inputs={Kind.CHECKPOINT: source},
        checkpoint=Checkpoint(tiny_checkpoint),
        baseline=Checkpoint(tiny_checkpoint),
        task=fake_bundles.TASK,
        data=Splits(validation, validation, validation, None, fake_bundles.TASK.labels, fresh=fresh),
        target=targets.load("cpu"),
        seed=0,
        reference=None,
        progress=Heard(),
        history=tuple(each.lineage for each in made),
        artifacts=made,
    )


def answers(folder: Path, texts: Any) -> Any:
    with Runtime.open(folder) as runtime:
        return runtime.outputs(list(texts))


def test_the_draft_keeps_the_agreement_on_the_fresh_rows_and_tells_how(context):
    notes = cascade(config(agreement=0.95), context)
    facts = manifest.read(context.output)
    found = facts.cascade
    assert found is not None
    assert (found.names, found.agreement, found.confidence, found.rows) == (("tiny", "int8"), 0.95, 0.95, 400)
    fresh = context.data.fresh.texts
    small, large = (answers(made.path, fresh) for made in context.tiers.values())
    sure = facts.task.kind.confidence(facts.task, small, found.tiers[0].calibration)
    own = sure >= found.tiers[0].threshold
    assert 0 < own.mean() == pytest.approx(found.tiers[0].share)
    differs = own & (small.values.argmax(1) != large.values.argmax(1))
    told = notes["fresh"]["onnxruntime"]
    assert told["agreement"] == pytest.approx(1 - differs.mean())
    assert told["agreement"] > 0.95
    assert told["shares"]["tiny"] == pytest.approx(own.mean())
    assert notes["engine"] == "onnxruntime"
    assert notes["rows_of"] == {"source": "reviews.csv", "rows": 400, "set_aside": True}
    json.dumps(notes, allow_nan=False)


@pytest.mark.parametrize("cut", [False, True])
def test_texts_that_are_too_long_for_a_tier_are_counted_where_they_are_answered(context, tmp_path, cut):
    short = fake_cascades.write_draft(tmp_path / "short", noise=0.2, cut=cut, max_length=18)
    artifacts = (context.artifacts[0], draft(short, "tiny"), context.artifacts[2])
    context = replace(context, artifacts=artifacts, history=tuple(each.lineage for each in artifacts))
    notes = cascade(config(agreement=0.9), context)
    found = manifest.read(context.output).cascade
    assert found is not None
    with Runtime.open(context.output) as runtime:
        encodings = runtime.encode(context.data.fresh.texts)
        answered = runtime.run(encodings).tiers == 0
    too_long = np.array([each.tiers[0] is None for each in encodings])
    assert 0 < too_long.sum() < len(too_long)
    share = notes["fresh"]["onnxruntime"]["shares"]["tiny"]
    assert found.tiers[0].share == share == answered.mean() > 0


def test_the_draft_has_the_stages_of_its_tiers_in_its_lineage(context):
    cascade(config(agreement=0.95), context)
    told = [(step["stage"], step.get("tier")) for step in manifest.read(context.output).lineage]
    assert told == [("source", None), ("build", "tiny"), ("build", "int8")]


def test_where_no_threshold_keeps_the_promise_the_last_tier_alone_is_the_draft(context, tmp_path):
    """The first tier answers at random, however sure it is."""
    table = -fake_bundles.default_table()
    wrong = fake_bundles.write(tmp_path / "wrong", table=table.astype(np.float32))
    artifacts = (context.artifacts[0], draft(wrong, "tiny"), context.artifacts[2])
    context = replace(context, artifacts=artifacts, history=tuple(each.lineage for each in artifacts))
    notes = cascade(config(), context)
    facts = manifest.read(context.output)
    assert facts.cascade is None
    assert not (context.output / "tiers").exists()
    assert facts.digest == manifest.read(context.artifacts[2].path).digest
    assert not notes["choice"]["kept"]
    assert any(notes["choice"]["reason"] in line for line in context.progress.lines)


def test_outputs_are_read_as_the_device_reads_those_of_the_last_tier(context, monkeypatch):
    """What is fitted to a model is in its draft, not in the task of the run."""
    given: list[Task] = []
    choose = cascade_package.choose

    def seen(task: Task, *arguments: Any, **options: Any) -> Any:
        given.append(task)
        return choose(task, *arguments, **options)

    monkeypatch.setattr(cascade_package, "choose", seen)
    cascade(config(), replace(context, task=replace(context.task, judged_by="f1")))
    assert given == [manifest.read(context.tiers["int8"].path).task]


def test_copies_of_a_fresh_text_count_once(context):
    fresh = context.data.fresh
    twice = fresh.select([*range(len(fresh)), *range(len(fresh))])
    notes = cascade(config(agreement=0.95), replace(context, data=replace(context.data, fresh=twice)))
    assert notes["choice"]["rows"] == 400


def test_texts_without_labels_do(context):
    fresh = replace(context.data.fresh, labels=None)
    data = replace(context.data, fresh=fresh)
    notes = cascade(config(agreement=0.95, texts="new.txt"), replace(context, data=data))
    assert notes["choice"]["kept"]
    assert notes["rows_of"]["set_aside"] is False


def test_a_task_without_a_confidence_is_refused(context):
    outset = RunOutline(context.checkpoint, None, Task(Problem.EMBEDDING, (), dimensions=32), context.target)
    with pytest.raises(RecipeError) as caught:
        _check(config(), outset)
    assert caught.value.code == "usage.no-cascade"
    assert _check(config(), replace(outset, task=context.task))
