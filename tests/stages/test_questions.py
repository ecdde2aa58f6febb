"""Question answering through the stages that train."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import stage_contexts
from asked import SPANS, question_rows
from fake_progress import Kill, Killed

from edgeroberta.roberta import resolving
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import digest_tree
from edgeroberta.tasks import Problem
from edgeroberta.training import loop

FAST = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "precision": "fp32", "max_length": 48}


@pytest.fixture
def make_context(make_checkpoint, tmp_path):
    def make(name="run", *, head=True, words=40, unanswerable=0.0, count=32, **fields):
        model = make_checkpoint(("LABEL_0", "LABEL_1"), "question_answering", head=head)
        rows = [
            question_rows(number, seed, words=words, unanswerable=unanswerable)
            for seed, number in enumerate((count, 16, 16))
        ]
        return stage_contexts.context(tmp_path / name, model, SPANS, rows, **fields)

    return make


def test_a_base_model_learns_to_find_answers(make_context, tmp_path):
    made = make_context(head=False, words=8, count=256)
    notes = stage_contexts.run("finetune", made, **{**FAST, "epochs": 8})
    assert notes["metric"] == SPANS.metric
    assert notes["history"][-1]["score"] > 0.9
    found = Checkpoint(made.output)
    assert found.fields["architectures"] == ["RobertaForQuestionAnswering"]
    assert found.task.problem is Problem.SPANS
    assert resolving.resolve(str(made.output), cache=tmp_path / "cache").has_head
    json.dumps(notes, allow_nan=False)


def test_windows_of_long_contexts_are_learned_from_one_by_one(make_context):
    made = make_context(head=False)
    notes = stage_contexts.run("finetune", made, **FAST)
    assert notes["questions"] == 32
    assert notes["texts"] == notes["windows"] >= 64


@pytest.mark.parametrize("name", ["logits", "hard", "hidden", "attention"])
def test_each_loss_of_distillation_falls(name, make_context):
    made = make_context()
    weights = {"logits": 0.0, "hard": 0.0, "hidden": 0.0, "attention": 0.0} | {name: 1.0}
    notes = stage_contexts.run("distill", made, **{**FAST, "layers": 1, "epochs": 3, "weights": weights})
    losses = [entry[f"loss_{name}"] for entry in notes["history"]]
    assert losses[-1] < losses[0]


def test_a_teacher_with_another_tokenizer_teaches_questions(make_context, make_checkpoint):
    teacher = make_checkpoint(("LABEL_0", "LABEL_1"), "question_answering", model_type="bert", seed=4)
    made = make_context()
    weights = {"logits": 1.0, "hard": 0.0, "hidden": 0.0, "attention": 0.0}
    notes = stage_contexts.run(
        "distill", made, **{**FAST, "layers": 1, "teacher": str(teacher), "weights": weights}
    )
    assert 0.5 < notes["matched"] < 1
    assert notes["history"][-1]["loss_logits"] < notes["history"][0]["loss_logits"]


def test_a_killed_distillation_run_again_gives_the_same_files(make_context, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)

    def distill(made):
        return stage_contexts.run("distill", made, **{**FAST, "layers": 1, "checkpoint_seconds": 0})

    whole, killed = make_context("whole"), make_context("killed")
    distill(whole)
    with pytest.raises(Killed):
        distill(replace(killed, progress=Kill(3, "distill")))
    distill(killed)
    assert digest_tree(whole.output) == digest_tree(killed.output)


def test_heads_neurons_and_channels_are_pruned_by_the_loss_of_spans(make_context):
    made = make_context()
    stage_contexts.run("prune", made, heads=0.5, ffn=0.5, granularity=8, recovery=None, max_length=48)
    found = Checkpoint(made.output)
    assert found.parameters < made.checkpoint.parameters
    assert found.task.problem is Problem.SPANS
