"""The recipe of one student for many tasks, from text to a checkpoint that recipes take."""

from __future__ import annotations

import json

from unlabelled import Reviews

import edgeroberta
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.tasks import Problem, Task

QUICK = {
    "pretrain.steps": 3,
    "pretrain.batch_size": 4,
    "pretrain.accumulation": 1,
    "pretrain.max_length": 32,
    "pretrain.heldout": 0.2,
}


def test_a_smaller_encoder_is_delivered_and_says_whose_student_it_is(tiny_mask_checkpoint, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(next(iter(Reviews().chunks()))))
    edgeroberta.pretrain(
        str(tiny_mask_checkpoint),
        str(tmp_path / "texts.txt"),
        recipe="distill-agnostic",
        output=tmp_path / "small",
        settings=QUICK,
    )
    made = Checkpoint(tmp_path / "small")
    assert made.config.layers == 1  # half of two
    assert made.task.problem is Problem.MASKED
    card = (tmp_path / "small" / "README.md").read_text()
    assert f"a smaller student of `{tiny_mask_checkpoint.name}`" in card
    assert "The model itself, its teacher, has a perplexity of" in card
    (found,) = json.loads((tmp_path / "small" / "pretraining.json").read_text())["pretraining"]
    assert found["student"]["layers"] == [0]
    assert found["student"]["parameters"] == made.parameters
    load_classifier(made, Task(Problem.SINGLE_LABEL, ("bad", "good")))  # as any encoder
