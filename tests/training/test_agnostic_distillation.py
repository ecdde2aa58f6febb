from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_progress import Kill, Killed
from masked import task_of
from torch.nn import functional

from edgeroberta.errors import RecipeError
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.roberta.observers import OutputRecorder
from edgeroberta.training import agnostic_distillation, loop, prediction
from edgeroberta.training.agnostic_distillation import AgnosticPair
from edgeroberta.training.agnostic_settings import AgnosticSettings
from edgeroberta.training.blocks import Blocks
from edgeroberta.training.hyperparameters import Hyperparameters
from edgeroberta.training.masked_tokens import TokenMasking
from edgeroberta.training.pretraining import MaskDraws, PretrainingObjective
from edgeroberta.training.run import TrainingRun

SETTINGS = Hyperparameters.model_validate(
    {"batch_size": 4, "epochs": 2, "precision": "fp32", "freeze_embeddings": False, "checkpoint_seconds": 0}
)
LOSSES = ("masked", "logits", "hidden", "attention")


@pytest.fixture(scope="module")
def deep(make_checkpoint) -> Path:
    """A model of masked words with four layers."""
    return make_checkpoint(problem="fill_mask", num_hidden_layers=4)


def make_blocks(count: int = 23, *, pairs: bool = False) -> Blocks:
    """Blocks of several lengths, so that their tokens and masks are not the same number."""
    random = np.random.default_rng(0)
    lengths = random.integers(12, 25, count)
    packed = Blocks.pack([[0, *random.integers(5, 600, n - 2), 2] for n in lengths], pad_id=1)
    return replace(packed, next_sentence=random.integers(0, 2, count).astype(np.int8)) if pairs else packed


def only(**weights: float) -> dict[str, float]:
    return {**dict.fromkeys(LOSSES, 0.0), "logits": 1e-9, **weights}


def make_pair(folder: Path, blocks: Blocks, **settings: Any) -> AgnosticPair:
    source, task = Checkpoint(folder), task_of(folder)
    return agnostic_distillation.prepare(
        load_classifier(source, task, dropout=0.0, attention_dropout=0.0),
        AgnosticSettings(**settings),
        blocks=blocks,
        source=source,
        task=task,
        seed=0,
        where="pretrain.student",
    )


@pytest.fixture
def make_run(deep, tmp_path) -> Callable[..., TrainingRun]:
    def make(
        name: str = "run", blocks: Blocks | None = None, folder: Path = deep, **fields: Any
    ) -> TrainingRun:
        blocks = make_blocks() if blocks is None else blocks
        settings = SETTINGS.model_copy(update=fields.pop("settings", {}))
        pair = make_pair(folder, blocks, **{"layers": 2, **fields.pop("student", {})})
        per_epoch = math.ceil(len(blocks) / (settings.batch_size * settings.accumulation))
        draws = MaskDraws(TokenMasking.of(Checkpoint(folder), random=0.1, kept=0.1), 0, per_epoch)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            words = PretrainingObjective(pair.student, blocks, draws)
        objective = pair.objective(words, freeze_layers=settings.freeze_layers)
        run = TrainingRun(
            label="pretrain",
            model=pair.student,
            tokens=blocks,
            objective=objective,
            settings=settings,
            scratch=tmp_path / name,
            companion=objective.companion,
            fresh_ids=True,
            units=objective.units,
            beta2=0.98,
            evaluate=lambda model: {"score": 0.5},
            seed=0,
            progress=Progress(),
        )
        return replace(run, **fields)

    return make


def gradients(run: TrainingRun, number: int = 0) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """The gradients of one step and its mean losses, before they are clipped."""
    made = loop.Loop(run, loop.TextPosition())
    sums, units = made._gradients(number)
    found = {name: p.grad.clone() for name, p in made.trainable.items() if p.grad is not None}
    return found, {name: value / units[name] for name, value in sums.items()}


def difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest difference of a tensor's gradient, relative to its norm, or to a part of that of all."""
    assert ours.keys() == theirs.keys()
    whole = float(torch.cat([each.flatten() for each in theirs.values()]).norm())
    return max(
        float((ours[name] - each).norm()) / max(float(each.norm()), 1e-2 * whole)
        for name, each in theirs.items()
    )


def test_a_student_of_all_layers_has_nothing_to_learn_of_its_teacher(make_run):
    _, losses = gradients(make_run(student={"layers": 4}))
    assert set(losses) == set(LOSSES)
    assert all(abs(losses[name]) < 1e-5 for name in ("logits", "hidden", "attention"))
    assert losses["masked"] > 1


def test_losses_are_plain_means_over_masks_and_tokens(deep, make_run):
    """Computed again, block by block, by what the papers say."""
    blocks = make_blocks(7)
    settings = {"batch_size": 3, "accumulation": 3}
    run = make_run(blocks=blocks, settings=settings, student={"layers": (0, 2), "temperature": 3.0})
    _, losses = gradients(run)
    student = run.model.eval()
    teacher = load_classifier(Checkpoint(deep), task_of(deep))
    draws = MaskDraws(TokenMasking.of(Checkpoint(deep), random=0.1, kept=0.1), 0)
    logits, hidden, attention = [], [], []
    with (
        torch.no_grad(),
        OutputRecorder(student, layers=(0, 1), attention=True) as ours,
        OutputRecorder(teacher, layers=(0, 2), attention=True) as theirs,
    ):
        for row in range(7):
            masked = draws.of(prediction.to_device(blocks, np.array([row]), torch.device("cpu")))
            q, p = (
                (model(input_ids=masked.ids).logits[masked.positions] / 3).softmax(-1)
                for model in (student, teacher)
            )
            logits.append(9 * (p * (p.log() - q.log())).sum(-1))
            cosine = functional.cosine_similarity(ours.hidden(), theirs.hidden(), dim=-1)
            hidden.append((2 - 2 * cosine).mean(-1).flatten())
            q, p = (
                (split @ split.transpose(-1, -2) / 8**0.5).softmax(-1)
                for split in (
                    each.attention()[0].unflatten(-1, (4, 8)).permute(1, 2, 0, 3) for each in (ours, theirs)
                )
            )
            attention.append((p * (p.log() - q.log())).sum(-1).mean((0, 1)))
    for name, found in (("logits", logits), ("hidden", hidden), ("attention", attention)):
        assert losses[name] == pytest.approx(float(torch.cat(found).mean()), rel=1e-4), name


@pytest.mark.parametrize(("name", "weight"), [("masked", 3.0), ("hidden", 0.5), ("attention", 10.0)])
def test_losses_are_weighted_and_those_of_weight_0_left_out(name, weight, make_run):
    _, all_of_them = gradients(make_run(student={"weights": dict.fromkeys(LOSSES, 1.0)}))
    _, one = gradients(make_run(student={"weights": only(**{name: weight})}))
    assert set(one) == {"logits", name}
    assert one[name] == pytest.approx(weight * all_of_them[name], rel=1e-5)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 5, 22])
@pytest.mark.parametrize("student", [{}, {"hidden_size": 16, "intermediate_size": 24}])
def test_a_step_in_several_passes_has_the_gradients_of_one(student, batch_size, pairs, make_run):
    blocks = make_blocks(23, pairs=pairs)
    passes = {"batch_size": batch_size, "accumulation": math.ceil(23 / batch_size)}
    whole, one = gradients(make_run(blocks=blocks, settings={"batch_size": 23}, student=student))
    parts, several = gradients(make_run(blocks=blocks, settings=passes, student=student))
    assert several == pytest.approx(one, rel=1e-5)
    assert difference(parts, whole) < 1e-5


def test_what_the_teacher_knows_is_learnt_and_the_teacher_stays(deep, make_run):
    run = make_run(settings={"epochs": 12, "learning_rate": 3e-3})
    history = loop.train(run).history
    for name in ("logits", "hidden", "attention"):
        assert history[-1][f"loss_{name}"] < 0.8 * history[0][f"loss_{name}"], name
    teacher = run.objective._pair.teacher
    before = load_classifier(Checkpoint(deep), task_of(deep))
    for name, value in before.state_dict().items():
        assert torch.equal(teacher.state_dict()[name], value), name
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.training


def test_a_narrower_student_learns_through_a_projection_that_is_no_part_of_it(make_run):
    run = make_run(
        student={"hidden_size": 16, "intermediate_size": 24}, settings={"epochs": 12, "learning_rate": 3e-3}
    )
    before = run.objective._pair.projection.weight.detach().clone()
    assert before.shape == (32, 16)
    history = loop.train(run).history
    assert history[-1]["loss_hidden"] < 0.8 * history[0]["loss_hidden"]
    assert not torch.equal(run.objective._pair.projection.weight, before)
    assert run.model.config.hidden_size == 16
    assert not [name for name in run.model.state_dict() if "companion" in name or "projection" in name]


def test_the_way_back_of_a_narrower_student_is_known_at_the_start(make_run):
    """The projection is not random: hidden states are nearer than those of other blocks' directions."""
    narrow = {"layers": 4, "hidden_size": 24, "weights": only(hidden=1.0)}
    _, losses = gradients(make_run(student=narrow))
    assert losses["hidden"] < 1.0  # 2 where nothing is known


def test_frozen_layers_neither_learn_nor_count(make_run):
    frozen = {"freeze_layers": 1, "freeze_embeddings": True}
    run = make_run(settings=frozen, student={"layers": (0, 3)})
    whole = make_run(student={"layers": (0, 3)})
    _, losses = gradients(run)
    _, every = gradients(whole)
    # the first layer is the teacher's own: only the second differs
    assert losses["hidden"] == pytest.approx(2 * every["hidden"], rel=1e-4)


@pytest.mark.parametrize("steps", [1, 4, 7])
@pytest.mark.parametrize("student", [{}, {"hidden_size": 16}])
def test_a_run_killed_in_the_midst_of_an_epoch_ends_with_the_same_weights(
    student, steps, make_run, monkeypatch
):
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)
    blocks = make_blocks(23, pairs=True)
    straight = make_run("straight", blocks, student=student)
    loop.train(straight)
    with pytest.raises(Killed):
        loop.train(replace(make_run("resumed", blocks, student=student), progress=Kill(steps, "pretrain")))
    resumed = make_run("resumed", blocks, student=student)
    loop.train(resumed)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_nothing_of_both_is_kept_from_step_to_step(make_run):
    run = make_run()
    gradients(run)
    assert not run.objective._ours.values
    assert not run.objective._theirs.values
    run.objective.close()
    assert not run.model.base_model.encoder.layer[0]._forward_hooks


def test_a_teacher_without_a_head_teaches_its_inside(tiny_headless_checkpoint, make_run):
    _, losses = gradients(make_run(folder=tiny_headless_checkpoint, student={"layers": 1}))
    assert set(losses) == {"masked", "hidden", "attention"}


def test_answers_of_a_teacher_without_a_head_are_refused(tiny_headless_checkpoint):
    with pytest.raises(RecipeError, match="no head for masked words") as raised:
        make_pair(tiny_headless_checkpoint, make_blocks(4), weights={"logits": 1.0})
    assert raised.value.where == "pretrain.student.weights.logits"
