from __future__ import annotations

import json
from dataclasses import replace

import pytest
import stage_contexts
import torch
from fake_progress import Heard, Kill, Killed
from pydantic import ValidationError
from stage_contexts import TASKS, checkpoint_in, rows_of

from edgeroberta import metrics, stages
from edgeroberta.errors import DataError
from edgeroberta.roberta import resolving
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.storage.artifact import Kind, digest_tree
from edgeroberta.training import batching, loop, prediction

FAST = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "precision": "fp32"}


@pytest.fixture
def make_context(tiny_headless_checkpoint, tmp_path):
    def make(name="run", task=TASKS["single"], **fields):
        rows = [rows_of(task, count, seed, told=True) for seed, count in enumerate((64, 16, 16))]
        return stage_contexts.context(tmp_path / name, tiny_headless_checkpoint, task, rows, **fields)

    return make


def finetune(context, **config):
    return stage_contexts.run("finetune", context, **{**FAST, **config})


@pytest.mark.parametrize("kind", TASKS)
def test_a_base_model_becomes_a_checked_classifier(kind, make_context, tmp_path):
    task = TASKS[kind]
    context = make_context(task=task)
    notes = finetune(context)
    assert resolving.resolve(str(context.output), cache=tmp_path / "cache").folder == context.output
    Checkpoint(context.output).require_head()
    assert Checkpoint(context.output).task == replace(task, pair=False)
    assert notes["metric"] == task.metric
    assert notes["steps"] == 16
    assert len(notes["history"]) == 2
    json.dumps(notes, allow_nan=False)


def test_the_best_checkpoint_is_the_one_by_the_metric_that_was_asked_for(make_context):
    task = TASKS["single"].judge_by("macro_f1")
    context = make_context(task=task)
    notes = finetune(context)
    logits = prediction.predict(
        load_classifier(Checkpoint(context.output), task, seed=0),
        batching.tokenize(Checkpoint(context.output), context.data.validation.inputs(), max_length=64),
    )
    best = metrics.score(task, logits, context.data.validation.labels, metric="macro_f1")
    assert notes["metric"] == "macro_f1"
    assert notes["best_score"] == pytest.approx(best)


def test_the_task_is_learnt(make_context):
    notes = finetune(make_context(), epochs=10, dropout=0, freeze_embeddings=False)
    assert notes["best_score"] == 1.0
    assert notes["history"][-1]["loss_hard"] < 0.5 * notes["history"][0]["loss_hard"]


def test_tokens_are_learnt_and_the_entities_of_words_are_found(make_context):
    notes = finetune(make_context(task=TASKS["tokens"]), epochs=10, dropout=0, freeze_embeddings=False)
    assert notes["best_score"] == 1.0
    assert notes["metric"] == "f1"
    assert (notes["words_cut"], notes["words_dropped"]) == (0, 0)


def test_words_that_are_cut_off_are_counted_and_told(make_context):
    progress = Heard()
    notes = finetune(make_context(task=TASKS["tokens"], progress=progress), epochs=1, max_length=5)
    assert notes["words_cut"] > 64
    told = f"{notes['words_cut']} of {notes['words']} words of the training rows lie beyond 5 tokens"
    assert any(told in line for line in progress.lines)


def test_the_result_is_a_model_folder_and_the_source_stays_as_it_was(make_context, tiny_headless_checkpoint):
    before, context = digest_tree(tiny_headless_checkpoint), make_context()
    finetune(context, epochs=1)
    assert digest_tree(tiny_headless_checkpoint) == before
    tokenizer = {file.name for file in tiny_headless_checkpoint.glob("*token*.json")}
    assert {file.name for file in context.output.iterdir()} == {
        "config.json",
        "model.safetensors",
        *tokenizer,
    }


def test_an_interrupted_stage_run_again_gives_the_same_files(make_context, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    straight = make_context("straight")
    notes = finetune(straight, checkpoint_seconds=0)
    with pytest.raises(Killed):
        finetune(make_context("resumed", progress=Kill(11)), checkpoint_seconds=0)
    resumed = make_context("resumed")
    assert finetune(resumed, checkpoint_seconds=0) == notes
    assert digest_tree(resumed.output) == digest_tree(straight.output)


def test_the_same_seed_gives_the_same_files_and_another_does_not(make_context):
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        context = make_context(name, seed=seed)
        finetune(context, epochs=1)
        digests.append(digest_tree(context.output))
    assert digests[0] == digests[1] != digests[2]


def test_a_fine_tuned_model_keeps_its_head_when_trained_further(make_context, tiny_checkpoint):
    task = TASKS["single"]
    context = make_context(inputs={Kind.CHECKPOINT: checkpoint_in(tiny_checkpoint)})
    finetune(context, epochs=1, learning_rate=1e-9)
    before, after = load_classifier(tiny_checkpoint, task), load_classifier(context.output, task)
    torch.testing.assert_close(before.state_dict(), after.state_dict(), rtol=0, atol=1e-6)


def test_rows_without_labels_are_refused(make_context):
    context = make_context()
    data = replace(context.data, train=replace(context.data.train, labels=None))
    with pytest.raises(DataError) as caught:
        finetune(replace(context, data=data))
    assert str(caught.value) == "reviews.csv: fine-tuning needs labels; these rows have none"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0),
        ("warmup", 1),
        ("schedule", "steps"),
        ("precision", "fp16"),
        ("x", 1),
    ],
)
def test_bad_settings_are_refused_by_field(field, value):
    with pytest.raises(ValidationError) as caught:
        stages.get("finetune").config(**{field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
