from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import stage_contexts
import torch
from fake_progress import Kill, Killed
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from stage_contexts import TASKS, checkpoint_in, rows_of
from transformers import AutoModelForMaskedLM
from unlabelled import Reviews

from edgeroberta import stages, targets
from edgeroberta.context import RunOutline
from edgeroberta.errors import CheckpointError, DataError, RecipeError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import Kind, digest_tree
from edgeroberta.training import loop

FAST = {
    "epochs": 2,
    "batch_size": 4,
    "accumulation": 2,
    "learning_rate": 3e-3,
    "precision": "fp32",
    "max_length": 32,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "heldout": 0.2,
}
#: What of the notes tells time, which differs from run to run.
TIMES = ("seconds", "tokens_per_second")


@pytest.fixture
def make_context(tiny_mask_checkpoint, tmp_path):
    def make(name="run", model=tiny_mask_checkpoint, **fields):
        task = TASKS["single"]
        rows = [rows_of(task, 8, seed) for seed in range(3)]
        fields = {"corpus": Reviews(), **fields}
        return stage_contexts.context(tmp_path / name, model, task, rows, **fields)

    return make


def run(context, **config):
    return stage_contexts.run("pretrain", context, **{**FAST, **config})


def timeless(notes):
    return {name: value for name, value in notes.items() if name not in TIMES}


def outline(folder, **fields):
    model = Checkpoint(folder)
    return replace(RunOutline(model, model.config.shape, TASKS["single"], targets.load("cpu")), **fields)


def test_a_model_learns_the_words_of_unlabelled_text(make_context):
    context = make_context()
    notes = run(context, epochs=12)
    first, last = notes["history"][0], notes["history"][-1]
    assert (first["step"], last["step"]) == (0, notes["steps"])
    assert last["perplexity"] < 0.5 * first["perplexity"]
    assert last["accuracy"] > first["accuracy"] + 0.2
    assert notes["documents"] == 40
    assert notes["tokens_seen"] > 10 * notes["tokens"] * 0.7
    json.dumps(notes, allow_nan=False)
    model = AutoModelForMaskedLM.from_pretrained(context.output)
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight


def test_finetune_takes_what_pretrain_makes(make_context):
    context = make_context()
    run(context)
    inputs = {Kind.CHECKPOINT: checkpoint_in(context.output)}
    tuned = make_context("tuned", inputs=inputs)
    stage_contexts.run("finetune", tuned, epochs=1, batch_size=4, precision="fp32")
    name = "roberta.embeddings.word_embeddings.weight"
    made, base = (load_file(each.output / "model.safetensors") for each in (tuned, context))
    assert torch.equal(made[name], base[name])  # embeddings are frozen there


def test_a_fresh_head_learns_alone_before_the_encoder(make_context, tiny_headless_checkpoint):
    """So that the first entry tells what the encoder knew, and not what a random head makes of it."""
    context = make_context(model=tiny_headless_checkpoint)
    notes = run(context, head_steps=60, steps=1, learning_rate=1e-9)
    assert notes["head_steps"] == 60
    alone = make_context("alone", model=tiny_headless_checkpoint)
    unfitted = run(alone, head_steps=0, steps=1, learning_rate=1e-9)
    assert notes["history"][0]["perplexity"] < 0.8 * unfitted["history"][0]["perplexity"]
    name = "encoder.layer.1.output.dense.weight"
    before = load_file(tiny_headless_checkpoint / "model.safetensors")
    after = load_file(context.output / "model.safetensors")
    kept = next(value for key, value in before.items() if key.endswith(name))
    torch.testing.assert_close(after[f"roberta.{name}"], kept, rtol=0, atol=1e-6)


def test_a_head_that_the_config_names_and_the_weights_lack_is_a_fresh_one(
    make_context, tiny_mask_checkpoint, tmp_path
):
    folder = tmp_path / "halved"
    shutil.copytree(tiny_mask_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("lm_head.")}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    notes = run(make_context(model=folder), steps=20)
    assert notes["head_steps"] == 2
    assert notes["history"][0]["perplexity"] < 300  # of 600 tokens, by their frequencies


def test_a_head_that_is_there_does_not_learn_alone(make_context):
    assert run(make_context(), steps=2)["head_steps"] == 0


def test_a_model_with_random_weights_has_the_shape_that_was_asked_for(make_context):
    context = make_context()
    shape = {"layers": 3, "hidden_size": 24, "attention_heads": 2, "intermediate_size": 40}
    notes = run(context, initialization="random", steps=2, **shape)
    made = Checkpoint(context.output)
    found = made.config
    assert (found.layers, found.hidden_size, found.heads, found.intermediate_size) == (3, 24, 2, 40)
    assert found.vocab_size == context.checkpoint.config.vocab_size
    assert 10 < notes["history"][0]["perplexity"] < 200  # the frequencies of 600 tokens, and no more
    assert notes["head_steps"] == 0


def test_random_weights_hang_on_the_seed_alone(make_context):
    digests = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        context = make_context(name, seed=seed)
        run(context, initialization="random", steps=1)
        digests.append(digest_tree(context.output))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("more", [{}, {"packing": "segment-pairs", "masking": "static", "mask_copies": 2}])
def test_an_interrupted_stage_run_again_gives_the_same_files(more, make_context, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    straight = make_context("straight")
    notes = run(straight, checkpoint_seconds=0, **more)
    for kill in (Kill(2), Kill(3, "pretrain"), Kill(9, "pretrain")):
        with pytest.raises(Killed):
            run(make_context("resumed", progress=kill), checkpoint_seconds=0, **more)
    resumed = make_context("resumed")
    assert timeless(run(resumed, checkpoint_seconds=0, **more)) == timeless(notes)
    assert digest_tree(resumed.output) == digest_tree(straight.output)


def test_next_sentences_are_learnt_along_and_leave_nothing_behind(make_context):
    context = make_context()
    notes = run(context, packing="segment-pairs")
    assert "loss_next_sentence" in notes["history"][-1]
    AutoModelForMaskedLM.from_pretrained(context.output)
    assert not [name for name in load_file(context.output / "model.safetensors") if "companion" in name]


def test_a_run_without_text_says_what_is_missing(make_context):
    with pytest.raises(DataError, match="there is none") as raised:
        run(make_context(corpus=None))
    assert raised.value.hint == "add --unlabelled PATH"


def test_blocks_longer_than_the_model_are_refused_before_work(tiny_mask_checkpoint):
    stage = stages.get("pretrain")
    with pytest.raises(RecipeError, match="blocks of 4096 tokens") as raised:
        stage.check(stage.config(max_length=4096), outline(tiny_mask_checkpoint))
    assert raised.value.where == "pretrain.max_length"


def test_a_width_that_heads_cannot_share_is_refused(tiny_mask_checkpoint):
    stage = stages.get("pretrain")
    config = stage.config(initialization="random", hidden_size=30, attention_heads=4, max_length=32)
    with pytest.raises(RecipeError, match="a width of 30 cannot be divided among 4") as raised:
        stage.check(config, outline(tiny_mask_checkpoint))
    assert raised.value.where == "pretrain.hidden_size"


def test_freezing_all_layers_is_refused(tiny_mask_checkpoint):
    stage = stages.get("pretrain")
    config = stage.config(freeze_embeddings=True, freeze_layers=2, max_length=32)
    with pytest.raises(RecipeError, match="leave nothing to learn"):
        stage.check(config, outline(tiny_mask_checkpoint))


def test_the_next_stage_is_told_the_new_shape(tiny_mask_checkpoint):
    stage = stages.get("pretrain")
    config = stage.config(initialization="random", hidden_size=24, attention_heads=2, layers=5, max_length=32)
    after = stage.check(config, outline(tiny_mask_checkpoint))
    assert (after.shape.hidden_size, after.shape.head_size, len(after.shape.layers)) == (24, 12, 5)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"layers": 3}, "layers is of a model with random weights: add initialization: random"),
        ({"hidden_size": 64}, "hidden_size is of a model with random weights"),
        ({"mask_random": 0.7, "mask_kept": 0.7}, "at most 1 together"),
        ({"mask_share": 0}, "greater than 0"),
        ({"mask_share": 1.0}, "less than 1"),
        ({"mask_copies": 0}, "greater than or equal to 1"),
        ({"beta2": 1.0}, "less than 1"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"max_length": 4}, "greater than or equal to 8"),
        ({"packing": "paragraphs"}, "full-sentences"),
        ({"masking": "once"}, "dynamic"),
        ({"heldout": 0}, "greater than 0"),
        ({"freeze_layers": 1}, "frozen layers need frozen embeddings"),
    ],
)
def test_settings_that_cannot_be_are_refused(config, said):
    with pytest.raises(ValidationError, match=said):
        stages.get("pretrain").config(**config)


def test_a_tokenizer_without_a_mask_token_is_refused(make_checkpoint, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(make_checkpoint(head=False), folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        file = folder / name
        if file.is_file():
            text = file.read_text().replace("mask_token", "unmask_token").replace("<mask>", "<unmask>")
            file.write_text(text)
    stage = stages.get("pretrain")
    with pytest.raises(CheckpointError, match="no mask token"):
        stage.check(stage.config(max_length=32), outline(folder))
