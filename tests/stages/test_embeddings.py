"""Every training stage on embeddings: of pairs with scores, of queries and passages, of texts alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stage_contexts
import torch
from fake_progress import Kill, Killed

from edgeroberta import metrics
from edgeroberta.context import Context
from edgeroberta.data.rows import Rows
from edgeroberta.errors import CheckpointError
from edgeroberta.pipeline import embedding_inputs
from edgeroberta.prune.importance import ScoringExamples, score
from edgeroberta.roberta import heads
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.storage.artifact import digest_tree
from edgeroberta.tasks import Problem
from edgeroberta.tasks.similarity import cosines
from edgeroberta.training import batching, gradient_batches, prediction, shards
from edgeroberta.training.hyperparameters import MatmulPrecision

FAST = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "dropout": 0, "precision": "fp32"}
SUBJECTS = ("film", "meal", "room", "book")
WORDS = ("great", "boring", "good", "bad", "lovely", "terrible")


def scored(count: int, seed: int) -> Rows:
    """Pairs that are alike where they are of one subject."""
    random = np.random.default_rng(seed)
    both = random.integers(0, len(SUBJECTS), (count, 2))
    both[::2, 1] = both[::2, 0]
    texts = [
        tuple(f"a {random.choice(WORDS)} {SUBJECTS[which]} {row}" for which in pair)
        for row, pair in enumerate(both)
    ]
    alike = (both[:, 0] == both[:, 1]).astype(np.float32) * 5
    return Rows(tuple(a for a, _ in texts), tuple(b for _, b in texts), alike, "pairs.csv", apart=True)


def searched(count: int, seed: int) -> Rows:
    """Queries and passages that have a number in common."""
    numbers = np.random.default_rng(seed).permutation(count) + 100 * seed
    firsts, seconds = (tuple(f"{what} {number}" for number in numbers) for what in ("what is", "it is the"))
    labels = np.stack([np.arange(count)] * 2, axis=1)
    return Rows(firsts, seconds, labels, "searched.csv", apart=True)


ROWS: dict[str, Callable[[int, int], Rows]] = {"scored": scored, "searched": searched}


@pytest.fixture
def make_context(make_embedder, tmp_path):
    def make(name: str = "run", kind: str = "scored", pooling: str = "mean", **fields: Any) -> Context:
        model = make_embedder(pooling, num_hidden_layers=3)
        rows = [ROWS[kind](count, seed) for seed, count in enumerate((40, 16, 16))]
        task = rows[0].shown(Checkpoint(model).task)
        unlabelled = fields.pop("unlabelled", None)
        made = stage_contexts.context(tmp_path / name, model, task, rows, **fields)
        return replace(made, data=replace(made.data, unlabelled=unlabelled))

    return make


def run(name: str, context: Context, **config: Any) -> dict[str, Any]:
    return stage_contexts.run(name, context, **{**FAST, **config})


def embeddings(model: Checkpoint, context: Context, rows: Rows) -> Any:
    classifier = load_classifier(model, context.task)
    tokens = batching.tokenize(model, rows.read(), max_length=64, units=rows.units)
    return prediction.predict(classifier, tokens, precision=MatmulPrecision.FP32)


def scores(context: Context, rows: Rows) -> float:
    outputs = embeddings(Checkpoint(context.output), context, rows)
    return metrics.score(context.task, outputs, rows.labels)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("kind", ROWS)
def test_an_encoder_is_fine_tuned_on_pairs(kind, pooling, make_context):
    context = make_context(kind=kind, pooling=pooling)
    notes = run("finetune", context)
    made = Checkpoint(context.output)
    assert replace(made.task, judged_by=context.task.judged_by) == context.task
    assert notes["metric"] == {"scored": "spearman", "searched": "recall@10"}[kind]
    assert notes["texts"] == 40
    # other attention kernels: pairs that are almost as alike may change places
    assert scores(context, context.data.validation) == pytest.approx(notes["best_score"], abs=0.02)
    json.dumps(notes, allow_nan=False)


@pytest.mark.parametrize("loss", ["cosent", "cosine"])
def test_which_pairs_are_alike_is_learnt(loss, make_context):
    context = make_context()
    before = metrics.score(
        context.task,
        embeddings(context.checkpoint, context, context.data.validation),
        context.data.validation.labels,
    )
    notes = run("finetune", context, epochs=12, score_loss=loss, freeze_embeddings=False)
    assert notes["best_score"] > before + 0.05


def test_which_passage_answers_a_query_is_learnt(make_context):
    context = make_context(kind="searched")
    context = replace(context, task=context.task.judge_by("recall@1"))
    data = context.data.train
    before = metrics.score(context.task, embeddings(context.checkpoint, context, data), data.labels)
    run("finetune", context, epochs=12, freeze_embeddings=False)
    assert scores(context, data) > max(0.8, before)


@pytest.mark.parametrize("kind", ROWS)
def test_a_student_follows_its_teacher(kind, make_context):
    context = make_context(kind=kind)
    notes = run("distill", context, layers=2, epochs=12, weights={"logits": 1, "hard": 0.1, "hidden": 1})
    made = Checkpoint(context.output)
    assert made.config.layers == 2
    rows = context.data.heldout
    full, ours = (embeddings(each, context, rows).values for each in (context.baseline, made))
    assert cosines(full, ours).mean() > 0.8
    history = notes["history"]
    assert history[-1]["loss_logits"] < history[0]["loss_logits"]
    assert history[-1]["loss_hard"] >= 0


def test_teacher_outputs_are_kept_text_by_text(make_context):
    context = make_context()
    run("distill", context, layers=2, epochs=1, weights={"logits": 1, "hard": 0})
    (file,) = (context.scratch / "teacher").rglob(shards.LOGITS)
    kept = np.load(file)
    assert kept.shape == (80, 32)
    wanted = embeddings(context.baseline, context, context.data.train)
    assert np.allclose(kept, wanted.values, atol=1e-5)


@pytest.mark.parametrize("pairs", [False, True])
def test_texts_alone_are_learnt_from_too(pairs, make_context):
    more = Rows(
        ("some more", "and again"), ("a second", "text") if pairs else None, None, "more.txt", apart=True
    )
    context = make_context(unlabelled=more)
    notes = run("distill", context, layers=2, augment=1, weights={"logits": 1, "hard": 0.5, "hidden": 1})
    assert notes["texts"] == 40 + 2 + 40


def test_a_teacher_of_another_width_teaches_what_is_alike(make_context, make_embedder):
    context = make_context()
    wide = make_embedder("cls", normalize=False, hidden_size=64, seed=3)
    notes = run("distill", context, layers=2, epochs=12, teacher=str(wide), weights={"logits": 1, "hard": 0})
    assert "aligned" not in notes
    assert notes["history"][-1]["loss_logits"] < notes["history"][0]["loss_logits"]


def test_a_classifier_cannot_teach_embeddings(make_context, tiny_checkpoint):
    with pytest.raises(CheckpointError, match="sentence embeddings"):
        run("distill", make_context(), layers=2, teacher=str(tiny_checkpoint))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_frozen_layers_change_nothing_but_the_time(pooling, make_context):
    config = {"freeze_layers": 1, "dropout": 0, "epochs": 2}
    kept, again = make_context("kept", pooling=pooling), make_context("again", pooling=pooling)
    run("finetune", kept, **config)
    run("finetune", again, **config, frozen_gb=0)
    assert list((kept.scratch / "frozen").rglob(shards.HIDDEN))
    assert not (again.scratch / "frozen").exists()
    rows = kept.data.heldout
    one, other = (embeddings(Checkpoint(each.output), each, rows).values for each in (kept, again))
    assert np.allclose(one, other, atol=1e-4)


def test_a_killed_run_ends_with_the_same_weights(make_context):
    whole, killed = make_context("whole"), make_context("killed", progress=Kill(3))
    run("distill", whole, layers=2, checkpoint_seconds=0)
    with pytest.raises(Killed):
        run("distill", killed, layers=2, checkpoint_seconds=0)
    again = make_context("killed")
    run("distill", again, layers=2, checkpoint_seconds=0)
    assert digest_tree(again.output) == digest_tree(whole.output)


@pytest.mark.parametrize("kind", ROWS)
def test_heads_and_neurons_are_pruned_by_the_loss_of_pairs(kind, make_context):
    context = make_context(kind=kind)
    notes = run_prune(context)
    made = Checkpoint(context.output)
    assert sum(layer.heads for layer in made.config.shape.layers) == 8
    assert made.task.problem is Problem.EMBEDDING
    assert notes


def run_prune(context: Context) -> dict[str, Any]:
    recovery = {**FAST, "epochs": 1, "weights": {"logits": 1, "hard": 0.5, "hidden": 1}}
    return stage_contexts.run("prune", context, heads=0.67, ffn=0.5, steps=1, recovery=recovery)


def test_taylor_scores_are_those_of_both_texts_of_pairs(make_context):
    context = make_context()
    model, rows = load_classifier(context.checkpoint, context.task), context.data.train
    examples = ScoringExamples.of(context.checkpoint, rows, context.task, max_length=64)
    found = score(model, examples)
    assert [len(each) for each in found.heads] == [4, 4, 4]
    assert all((each > 0).all() for each in found.heads)


def test_gradients_tell_what_embeddings_depend_on_with_labels_and_without(make_context):
    context = make_context()
    model, rows = load_classifier(context.checkpoint, context.task), context.data.train
    for given in (rows, replace(rows, labels=None)):
        largest = 0.0
        for batch in gradient_batches.samples(given, context.task, source=context.checkpoint, max_length=64):
            found = heads.answers(model, batch.ids, batch.mask)
            slopes = torch.autograd.grad(batch.loss(found).sum(), found)[0]
            assert torch.isfinite(slopes).all()
            largest = max(largest, float(slopes.abs().max()))
        assert largest > 0.01


def test_the_vocabulary_is_cut_by_both_texts_of_pairs(make_context):
    context = make_context()
    notes = stage_contexts.run("vocabulary", context, size=400)
    assert notes["training"]["texts"] == 40
    assert Checkpoint(context.output).task.problem is Problem.EMBEDDING
    assert notes["training"]["changed"] == 0


def test_a_base_encoder_becomes_one_of_embeddings(make_checkpoint, tmp_path):
    base = Checkpoint(make_checkpoint(head=False))
    before = digest_tree(base.folder)
    made = embedding_inputs.of_embeddings(base, "max", trained=False, cache=tmp_path)
    assert (made.task.pooling, made.task.normalize) == ("max", False)
    assert made.task.dimensions == 32
    assert digest_tree(base.folder) == before
    assert embedding_inputs.of_embeddings(base, "max", trained=True, cache=tmp_path).folder == made.folder
    assert embedding_inputs.of_embeddings(base, None, trained=False, cache=tmp_path).task.pooling == "mean"
    assert load_classifier(made, made.task).config.sentence_embedding == {
        "pooling": "max",
        "normalize": False,
    }


def test_a_folder_that_makes_embeddings_is_taken_as_it_is(make_embedder, tmp_path):
    model = Checkpoint(Path(make_embedder("cls")))
    assert embedding_inputs.of_embeddings(model, None, trained=False, cache=tmp_path) is model
    assert embedding_inputs.of_embeddings(model, "cls", trained=False, cache=tmp_path) is model
    again = embedding_inputs.of_embeddings(model, "mean", trained=True, cache=tmp_path)
    assert (again.task.pooling, again.task.normalize) == ("mean", True)


@pytest.mark.parametrize("fixture", ["tiny_mask_checkpoint", "tiny_bert_checkpoint", "tiny_xlmr_checkpoint"])
def test_encoders_of_every_family_embed_without_the_head_they_were_trained_with(fixture, request, tmp_path):
    found = Checkpoint(request.getfixturevalue(fixture))
    if fixture != "tiny_mask_checkpoint":  # classifiers: their encoder alone
        kept = load_classifier(found, found.task).base_model
        kept.save_pretrained(tmp_path / "encoder")
        found.copy_tokenizer(tmp_path / "encoder")
        found = Checkpoint(tmp_path / "encoder")
    made = embedding_inputs.of_embeddings(found, "mean", trained=False, cache=tmp_path / "cache")
    model = load_classifier(made, made.task)
    tokens = batching.tokenize(made, ["a good film", "so"], max_length=16)
    outputs = prediction.predict(model, tokens, precision=MatmulPrecision.FP32)
    assert outputs.values.shape == (2, 32)
    assert not hasattr(model, "lm_head")
