from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fake_progress import Kill, Killed
from pydantic import ValidationError

from edgeroberta.errors import EdgeRobertaError, RecipeError
from edgeroberta.progress import Progress
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.tasks import Problem, Task
from edgeroberta.training import loop, losses, npy_reader, prediction, shards, teacher
from edgeroberta.training.batching import Tokens
from edgeroberta.training.hyperparameters import Hyperparameters, MatmulPrecision
from edgeroberta.training.loop import train
from edgeroberta.training.run import TrainingRun

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
ROWS = 12
SETTINGS = Hyperparameters(
    epochs=3,
    batch_size=4,
    learning_rate=1e-3,
    precision=MatmulPrecision.FP32,
    checkpoint_seconds=0,
    freeze_layers=1,
)
STEPS = 9  # 3 epochs of 12 / 4


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    monkeypatch.setattr(shards, "SHARD", 5)


@pytest.fixture
def passes(monkeypatch) -> list[int]:
    """Numbers of the shards that frozen layers were run over."""
    seen: list[int] = []
    monkeypatch.setattr(teacher, "_run", lambda *a, run=teacher._run: seen.append(a[2]) or run(*a))
    return seen


@pytest.fixture
def make_run(tiny_checkpoint, tmp_path) -> Callable[..., TrainingRun]:
    random = np.random.default_rng(0)
    texts = [[0, *random.integers(3, 600, n), 2] for n in random.integers(2, 14, ROWS)]
    tokens = Tokens.pack(texts, pad_id=1)
    labels = torch.arange(ROWS) % 2

    def objective(model: torch.nn.Module, batch: prediction.ProcessBatch) -> Mapping[str, torch.Tensor]:
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits.float()
        return {"hard": losses.hard(logits, labels[batch.rows], Problem.SINGLE_LABEL)}

    def make(name: str = "run", settings: Mapping[str, Any] | None = None, **fields: Any) -> TrainingRun:
        run = TrainingRun(
            label="finetune",
            model=load_classifier(tiny_checkpoint, TWO, dropout=0.1),
            tokens=tokens,
            objective=objective,
            evaluate=lambda model: {"score": 0.5},
            settings=SETTINGS.model_copy(update=dict(settings or {})),
            scratch=tmp_path / name,
            seed=0,
            progress=Progress(),
            first_token=True,
        )
        return replace(run, **fields)

    return make


def weights_of(run: TrainingRun) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def kill(run: TrainingRun, label: str, done: int) -> None:
    with pytest.raises(Killed):
        train(replace(run, progress=Kill(done, label)))


def test_kept_outputs_train_to_the_weights_of_layers_run_at_every_step(make_run, passes):
    train(kept := make_run("kept"))
    assert passes == [0, 1, 2]  # 12 texts in shards of 5, once for all epochs
    train(computed := make_run("computed", {"frozen_gb": 0}))
    assert passes == [0, 1, 2]
    torch.testing.assert_close(weights_of(kept), weights_of(computed), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("first_token", [True, False])
def test_frozen_layers_stay_as_they_are_and_the_others_learn(first_token, make_run):
    run = make_run(first_token=first_token)
    before = weights_of(run)
    train(run)
    after = weights_of(run)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("layer.1." in name or name.startswith("classifier.") for name in changed)


@pytest.mark.parametrize(("label", "done"), [("frozen layers' outputs", 5), ("finetune", 1), ("finetune", 7)])
def test_a_killed_run_with_frozen_layers_ends_with_the_same_weights(label, done, make_run, passes):
    train(straight := make_run("straight"))
    passes.clear()
    kill(make_run("resumed"), label, done)
    train(resumed := make_run("resumed"))
    assert passes == [0, 1, 2]  # no shard twice
    ours, theirs = weights_of(resumed), weights_of(straight)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_nothing_is_kept_where_texts_are_seen_once(make_run, passes):
    train(run := make_run(settings={"epochs": 1}))
    assert passes == []
    assert not (run.scratch / "frozen").exists()


def test_what_is_kept_is_bounded(make_run, passes):
    run = make_run()
    needed = int(run.tokens.offsets[-1]) * 32 * 4  # float32 of a width of 32
    train(make_run("less", {"frozen_gb": (needed - 1) / 1e9}))
    assert passes == []
    train(make_run("enough", {"frozen_gb": needed / 1e9}))
    assert passes == [0, 1, 2]


def test_a_full_disk_is_told_with_the_way_round_it(make_run, monkeypatch):
    monkeypatch.setattr(npy_reader.shutil, "disk_usage", lambda folder: SimpleNamespace(free=9))
    with pytest.raises(EdgeRobertaError) as caught:
        train(make_run())
    assert caught.value.what.startswith("the frozen layers' outputs need ")
    assert caught.value.hint.endswith("; --set finetune.frozen_gb=0 computes them at every step")


def test_a_model_whose_layers_are_all_frozen_is_refused():
    SETTINGS.require_learning(2, "finetune")
    with pytest.raises(RecipeError) as caught:
        SETTINGS.model_copy(update={"freeze_layers": 2}).require_learning(2, "finetune")
    assert caught.value.what == "2 frozen layers leave nothing to learn in a model of 2"
    assert (caught.value.where, caught.value.hint) == ("finetune.freeze_layers", "choose 0 to 1")


def test_frozen_layers_under_embeddings_that_learn_are_refused():
    with pytest.raises(ValidationError, match="frozen layers need frozen embeddings"):
        Hyperparameters(freeze_layers=1, freeze_embeddings=False)


@pytest.mark.parametrize(
    ("scores", "evaluated", "best"),
    [((0.5, 0.4, 0.3, 0.9), 3, 3), ((0.5, 0.4, 0.5, 0.4), 4, 9), ((0.1, 0.2, 0.3, 0.4), 4, 12)],
    ids=["stops", "an equal score counts as better", "continues"],
)
def test_training_ends_when_the_score_has_not_risen_for_as_long_as_it_may(scores, evaluated, best, make_run):
    left = iter(scores)
    run = make_run(settings={"epochs": 4, "patience": 2}, evaluate=lambda model: {"score": next(left)})
    state = train(run)
    assert len(state.history) == evaluated
    assert (state.step, state.best_step) == (3 * evaluated, best)


def test_a_run_that_ended_early_is_not_trained_on_when_it_is_started_again(make_run):
    left = iter((0.5, 0.4))
    settings = {"patience": 1}
    train(first := make_run(settings=settings, evaluate=lambda model: {"score": next(left)}))
    again = make_run(settings=settings, evaluate=lambda model: {"score": next(left)})
    state = train(again)
    assert (state.step, state.best_step) == (6, 3)
    ours, theirs = weights_of(again), weights_of(first)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
