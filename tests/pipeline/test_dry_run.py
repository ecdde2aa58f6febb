from __future__ import annotations

import json
import shutil
from dataclasses import replace

import fake_stages
import pytest

from edgeroberta.data.label_format import Format, LabelFormat
from edgeroberta.pipeline import dry_run
from edgeroberta.pipeline.dry_run import Preview
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.stages.quantize import QuantizeConfig
from edgeroberta.stages.verify import VerifyConfig
from edgeroberta.tasks import Problem, Task


@pytest.fixture
def preview(tmp_path, tiny_checkpoint) -> Preview:
    return Preview(
        recipe=fake_stages.recipe(tmp_path / "runs.log", build={"value": 3}),
        job=replace(fake_stages.job(tmp_path), model=Checkpoint(tiny_checkpoint)),
        reused=(True, True, False, False, False),
    )


def test_only_settings_that_are_not_the_defaults_are_told():
    assert dry_run.changed(QuantizeConfig.model_validate({})) == {}
    config = VerifyConfig.model_validate({"gate": {"max_drop": 0.02}, "engines": ["onnxruntime"]})
    assert dry_run.changed(config) == {"gate.max_drop": 0.02, "engines": ["onnxruntime"]}


def test_a_setting_without_a_default_is_always_told(preview):
    stages = preview.to_json()["stages"]
    assert [sorted(each["changed"]) for each in stages] == [["log"]] * 2 + [["log", "value"]] + [["log"]] * 2
    assert stages[2]["changed"]["value"] == 3


def test_stages_that_would_be_reused_are_told(preview):
    lines = str(preview).splitlines()[-5:]
    assert [line.split(",")[0] for line in lines] == [
        "finetune: reused",
        "export: reused",
        "build: would run",
        "verify: would run",
        "bundle: would run",
    ]
    assert [each["reused"] for each in preview.to_json()["stages"]] == [True, True, False, False, False]


def test_a_model_that_is_yet_to_be_fine_tuned_is_told(preview):
    waiting = replace(preview, fine_tunes_packaged_model=True)
    line = "the packaged default's baseline would be fine-tuned first"
    assert line in str(waiting).splitlines()
    assert line not in str(preview).splitlines()
    assert waiting.to_json()["fine_tunes_packaged_model"] is True


def test_layers_of_different_sizes_are_told(preview, tmp_path):
    pruned = tmp_path / "pruned"
    shutil.copytree(preview.job.model.folder, pruned)
    config = json.loads((pruned / "config.json").read_text())
    layers = [{"heads": 3, "intermediate": 64}, {"heads": 1, "intermediate": 20}]
    (pruned / "config.json").write_text(json.dumps({**config, "layer_shapes": layers}))
    found = replace(preview, job=replace(preview.job, model=Checkpoint(pruned)))
    assert "2 layers of 32, 1 to 3 heads and 20 to 64 FFN neurons each" in str(found)
    assert found.to_json()["model"]["layers"] == layers


def test_tags_are_told_by_what_they_are_of(preview):
    tags = Task(Problem.TOKENS, ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
    line = next(
        line for line in replace(preview, job=replace(preview.job, task=tags)).facts() if "task:" in line
    )
    assert line == "task:   token classification of single texts: PER, LOC (IOB2, 5 tags); judged by f1"


def test_embeddings_are_told_by_how_they_are_made(preview):
    """They have no labels, and rows of queries and passages no values."""
    task = Task(Problem.EMBEDDING, (), dimensions=32, pooling="mean", normalize=True)
    data = replace(preview.job.data, reading=LabelFormat(Format.VALUES))
    lines = replace(preview, job=replace(preview.job, task=task, data=data)).facts()
    wanted = "sentence similarity of single texts: 32 numbers each (mean pooling, normalized)"
    assert f"task:   {wanted}; judged by spearman" in lines
    assert not any(line.startswith("labels:") for line in lines)
