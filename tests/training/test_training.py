from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_progress import Heard, Kill, Killed

from edgeroberta.distributed import Ranks
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.tasks import Problem, Task
from edgeroberta.training import checkpoints as training_state
from edgeroberta.training import loop, losses, prediction
from edgeroberta.training.batching import Tokens
from edgeroberta.training.hyperparameters import Hyperparameters, MatmulPrecision, Schedule, learning_rate
from edgeroberta.training.layer_cache import TextPosition
from edgeroberta.training.loop import Loop, train
from edgeroberta.training.run import TrainingRun

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
ROWS = 24
SETTINGS = Hyperparameters(
    epochs=3,
    batch_size=4,
    learning_rate=1e-3,
    max_length=16,
    precision=MatmulPrecision.FP32,
    checkpoint_seconds=0,
)
STEPS = 18  # 3 epochs of 24 / 4


@pytest.fixture(autouse=True)
def _checkpoint_every_step(monkeypatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    random = np.random.default_rng(0)
    lengths = random.integers(4, 16, size=ROWS)
    return Tokens.pack([[0, *random.integers(3, 600, n - 2), 2] for n in lengths], pad_id=1)


@pytest.fixture
def make_run(tiny_checkpoint, tokens, tmp_path) -> Callable[..., TrainingRun]:
    # whether a text holds an even first word: a pattern that the embeddings show
    labels = torch.tensor([int(tokens.ids[start + 1]) % 2 for start in tokens.offsets[:-1]])

    def objective(model: torch.nn.Module, batch: prediction.ProcessBatch) -> Mapping[str, torch.Tensor]:
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits.float()
        return {"hard": losses.hard(logits, labels[batch.rows], Problem.SINGLE_LABEL)}

    def make(name: str = "run", **fields: Any) -> TrainingRun:
        run = TrainingRun(
            label="finetune",
            model=load_classifier(tiny_checkpoint, TWO, dropout=0.1),
            tokens=tokens,
            objective=objective,
            evaluate=lambda model: {"score": 0.5},
            settings=SETTINGS,
            scratch=tmp_path / name,
            seed=0,
            progress=Progress(),
        )
        return replace(run, **fields)

    return make


def weights_of(run: TrainingRun) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def kill(run: TrainingRun, steps: int) -> None:
    with pytest.raises(Killed):
        train(replace(run, progress=Kill(steps)))


def test_training_lowers_the_loss(make_run):
    settings = SETTINGS.model_copy(update={"epochs": 12, "learning_rate": 5e-3})
    history = train(make_run(settings=settings)).history
    assert len(history) == 12
    assert history[-1]["loss_hard"] < 0.6 * history[0]["loss_hard"]


@pytest.mark.parametrize("steps", [1, 5, 6, 7, 17])
def test_a_resumed_run_ends_with_the_same_weights_as_an_uninterrupted_one(steps, make_run):
    straight = make_run("straight")
    whole = train(straight)
    kill(make_run("resumed"), steps)
    resumed = make_run("resumed")
    state = train(resumed)
    assert_same(weights_of(resumed), weights_of(straight))
    assert state.step == whole.step == STEPS
    assert state.history == whole.history


def test_a_run_killed_again_and_again_ends_with_the_same_weights(make_run):
    straight = make_run("straight")
    train(straight)
    for steps in (2, 3, 9, 13):
        kill(make_run("resumed"), steps)
    resumed = make_run("resumed")
    train(resumed)
    assert_same(weights_of(resumed), weights_of(straight))


def test_a_run_killed_after_its_last_step_is_not_trained_again(make_run):
    kill(make_run(), STEPS)
    asked = []
    run = make_run(objective=lambda model, batch: asked.append(batch))
    assert train(run).step == STEPS
    assert asked == []


KILLED_PROGRAM = """
import sys, time
from pathlib import Path
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
import numpy as np, torch
import test_training as t
from edgeroberta.training import loop
loop.CHECKPOINT_PAUSE = 0
class Slow(t.Progress):
    def _step(self, meter):
        time.sleep(0.2)
t.train(t.replace(t.run_for_subprocess(Path(sys.argv[2]), Path(sys.argv[3])), progress=Slow()))
"""


def run_for_subprocess(checkpoint: Path, scratch: Path) -> TrainingRun:
    """The run of the kill test, made from nothing but paths so that two processes agree on it."""
    random = np.random.default_rng(0)
    tokens = Tokens.pack([[0, *random.integers(3, 600, 8), 2] for _ in range(ROWS)], pad_id=1)
    labels = torch.tensor([row % 2 for row in range(ROWS)])

    def objective(model: torch.nn.Module, batch: prediction.ProcessBatch) -> Mapping[str, torch.Tensor]:
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits
        return {"hard": losses.hard(logits, labels[batch.rows], Problem.SINGLE_LABEL)}

    model = load_classifier(checkpoint, TWO, dropout=0.1)
    settings = SETTINGS.model_copy(update={"freeze_layers": 1})
    return TrainingRun(
        label="finetune",
        model=model,
        tokens=tokens,
        objective=objective,
        evaluate=lambda model: {"score": 0.5},
        settings=settings,
        scratch=scratch,
        seed=0,
        progress=Progress(),
    )


def test_a_process_killed_with_sigkill_is_resumed_to_the_same_weights(tiny_checkpoint, tmp_path):
    scratch = tmp_path / "killed"
    arguments = [str(Path(__file__).parent), str(tiny_checkpoint), str(scratch)]
    process = subprocess.Popen([sys.executable, "-c", KILLED_PROGRAM, *arguments])
    try:
        deadline = time.monotonic() + 120
        while not list(scratch.glob("checkpoints/step-*")) and time.monotonic() < deadline:
            assert process.poll() is None, "the program ended before it could be killed"
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = training_state.restore(scratch / "checkpoints", _key(scratch))
    assert 0 < kept.step < STEPS
    resumed = run_for_subprocess(tiny_checkpoint, scratch)
    train(resumed)
    straight = run_for_subprocess(tiny_checkpoint, tmp_path / "straight")
    train(straight)
    assert_same(weights_of(resumed), weights_of(straight))


def _key(scratch: Path) -> str:
    newest = sorted(scratch.glob("checkpoints/step-*"))[-1]
    return str(torch.load(newest / "state.pt", weights_only=True)["key"])


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(make_run, caplog):
    straight = make_run("straight")
    train(straight)
    kill(make_run("resumed"), 9)
    folder = make_run("resumed").scratch / "checkpoints"
    newest = sorted(folder.glob("step-*"))[-1]
    os.truncate(newest / "state.pt", 1000)
    resumed = make_run("resumed")
    with caplog.at_level(logging.WARNING):
        train(resumed)
    assert f"{newest} cannot be read" in caplog.text
    assert_same(weights_of(resumed), weights_of(straight))


class Told(Ranks):
    """One process of two, without the other: it hears ``answer`` and keeps what it said."""

    def __init__(self, index: int, answer: Any = None) -> None:
        super().__init__(index, 2)
        vars(self).update(answer=answer, said=[])

    def share(self, value: Any) -> Any:
        vars(self)["said"].append(value)
        return value if self.main else vars(self)["answer"]


def test_of_several_processes_the_main_one_decides_where_to_go_on(tmp_path):
    for step in (3, 4):
        training_state.save(tmp_path, training_state.TrainingState("key", step))
    # what the main process cannot read, another one may see whole
    other = training_state.restore(tmp_path, "key", Told(1, 3))
    assert other.step == 3
    os.truncate(tmp_path / "step-00000004" / "state.pt", 100)
    main = Told(0)
    state = training_state.restore(tmp_path, "key", main)
    assert (state.step, vars(main)["said"]) == (3, [3])


def test_of_several_processes_only_the_main_one_deletes_states(tmp_path):
    training_state.save(tmp_path, training_state.TrainingState("key", 3))
    (tmp_path / ".partial-1").mkdir()
    assert training_state.restore(tmp_path, "another", Told(1, None)) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-1", "step-00000003"]
    assert training_state.restore(tmp_path, "another", Told(0)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_does_not_see_the_shared_state_says_so(tmp_path):
    with pytest.raises(EdgeRobertaError) as caught:
        training_state.restore(tmp_path, "key", Told(1, 3))
    assert caught.value.what.startswith("process 1 cannot read a state that the main process has read (")
    assert caught.value.where == str(tmp_path / "step-00000003")
    assert caught.value.hint == "put the work folder on a file system that all machines of the launch see"


def test_two_checkpoints_are_kept_and_no_partial_one(make_run):
    run = make_run()
    folder = run.scratch / "checkpoints"
    folder.mkdir(parents=True)
    (folder / ".partial-1").mkdir()
    train(run)
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000017", "step-00000018"]


@pytest.mark.parametrize("change", ["seed", "key", "settings"])
def test_checkpoints_of_another_run_are_not_used(change, make_run):
    other = {"seed": 1, "key": "another", "settings": SETTINGS.model_copy(update={"learning_rate": 2e-3})}
    kill(make_run("used"), 7)
    kill(make_run("used", **{change: other[change]}), 3)
    states = (make_run("used").scratch / "checkpoints").iterdir()
    assert sorted(path.name for path in states) == ["step-00000002", "step-00000003"]
    train(first := make_run("used", **{change: other[change]}))
    train(fresh := make_run("fresh", **{change: other[change]}))
    assert_same(weights_of(first), weights_of(fresh))


def test_a_resumed_run_may_keep_checkpoints_at_another_pace(make_run):
    kill(make_run(), 7)
    heard = Heard()
    train(make_run(settings=SETTINGS.model_copy(update={"checkpoint_seconds": 99}), progress=heard))
    assert heard.steps[0] >= 6


def test_the_best_evaluation_decides_the_weights_and_of_equals_the_last(make_run):
    seen: list[dict[str, torch.Tensor]] = []
    scores: Iterator[float] = iter([0.5, 0.9, 0.9, 0.7])

    def evaluate(model: Any) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return {"score": next(scores)}

    settings = SETTINGS.model_copy(update={"epochs": 4})
    run = make_run(evaluate=evaluate, settings=settings)
    state = train(run)
    assert (state.best_score, state.best_step) == (0.9, 18)
    assert [entry["score"] for entry in state.history] == [0.5, 0.9, 0.9, 0.7]
    assert_same(weights_of(run), seen[2])
    assert not torch.equal(seen[2]["classifier.dense.weight"], seen[3]["classifier.dense.weight"])


def test_the_best_weights_survive_a_kill(make_run):
    kill(make_run(evaluate=lambda model: {"score": 0.9}), 8)
    run = make_run(evaluate=lambda model: {"score": 0.1})
    state = train(run)
    assert (state.best_score, state.best_step) == (0.9, 6)


def test_a_score_that_is_not_a_number_is_never_the_best(make_run):
    scores = iter([0.2, float("nan"), 0.1])
    assert train(make_run(evaluate=lambda model: {"score": next(scores)})).best_score == 0.2


def test_evaluations_come_every_so_many_steps_and_at_the_end(make_run):
    history = train(make_run(settings=SETTINGS.model_copy(update={"eval_steps": 7}))).history
    assert [entry["step"] for entry in history] == [7, 14, 18]
    assert [entry["epoch"] for entry in history] == [1.167, 2.333, 3.0]


def test_a_loss_that_is_not_a_number_ends_the_run_and_spoils_no_checkpoint(make_run):
    good = make_run()
    calls = 0

    def objective(model: torch.nn.Module, batch: prediction.ProcessBatch) -> Mapping[str, torch.Tensor]:
        nonlocal calls
        calls += 1
        value = good.objective(model, batch)["hard"]
        return {"hard": value * float("nan") if calls == 8 else value}

    with pytest.raises(EdgeRobertaError) as caught:
        train(make_run(objective=objective))
    assert str(caught.value) == (
        "finetune: the loss is no longer a finite number at step 8 of 18 (epoch 2; hard nan)\n"
        "  next: --set finetune.learning_rate=0.00025 (it is 0.001), or --set finetune.precision=fp32"
    )
    assert caught.value.exit_code == 1
    newest = sorted((good.scratch / "checkpoints").glob("step-*"))[-1]
    kept = torch.load(newest / "state.pt", weights_only=True)
    assert kept["step"] == 7
    assert all(torch.isfinite(value).all() for value in kept["weights"].values())


@pytest.mark.parametrize("frozen", [True, False])
def test_embeddings_stay_as_they_are_only_when_frozen(frozen, make_run):
    run = make_run(settings=SETTINGS.model_copy(update={"freeze_embeddings": frozen}))
    before = weights_of(run)
    train(run)
    after = weights_of(run)
    word = "roberta.embeddings.word_embeddings.weight"
    assert torch.equal(before[word], after[word]) is frozen
    assert not torch.equal(before["classifier.dense.weight"], after["classifier.dense.weight"])


def test_a_step_in_several_passes_is_the_same_step(make_run, tiny_checkpoint):
    # one step over all texts, at once or in five uneven passes; without dropout only rounding differs
    def once(**sizes: int) -> training_state.TrainingState:
        settings = SETTINGS.model_copy(update={"epochs": 1, **sizes})
        model = load_classifier(tiny_checkpoint, TWO, dropout=0.0, attention_dropout=0.0)
        return train(make_run(str(sizes), settings=settings, model=model))

    first, second = once(batch_size=ROWS), once(batch_size=5, accumulation=5)
    assert first.step == second.step == 1
    assert first.history[0]["loss_hard"] == pytest.approx(second.history[0]["loss_hard"], rel=1e-5)
    moment = {name: entry["exp_avg"] for name, entry in first.optimizer["state"].items()}
    for name, entry in second.optimizer["state"].items():
        torch.testing.assert_close(entry["exp_avg"], moment[name], rtol=1e-3, atol=1e-6)


def test_the_callers_random_state_is_left_alone(make_run):
    torch.manual_seed(7)
    state = torch.get_rng_state()
    train(make_run(settings=SETTINGS.model_copy(update={"epochs": 1})))
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_and_order_depend_on_the_seed(make_run):
    train(first := make_run("a"))
    train(again := make_run("b"))
    train(other := make_run("c", seed=1))
    assert_same(weights_of(first), weights_of(again))
    assert not torch.equal(first.model.classifier.dense.weight, other.model.classifier.dense.weight)


def test_biases_and_norms_are_not_decayed(make_run):
    groups = Loop(make_run(), TextPosition()).optimizer.param_groups
    decays = {p.ndim: group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {2: 0.01, 1: 0.0}


def test_the_learning_rate_rises_then_falls_along_its_schedule():
    def rates(schedule: Schedule) -> list[float]:
        settings = Hyperparameters(learning_rate=1.0, warmup=0.2, schedule=schedule)
        return [round(learning_rate(settings, step, 10), 4) for step in range(10)]

    rise = [0.3333, 0.6667]
    assert rates(Schedule.LINEAR) == [*rise, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert rates(Schedule.COSINE) == [*rise, 1.0, 0.9619, 0.8536, 0.6913, 0.5, 0.3087, 0.1464, 0.0381]
    assert rates(Schedule.CONSTANT) == [*rise, *[1.0] * 8]


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert learning_rate(Hyperparameters(learning_rate=0.5, warmup=0), 0, 10) == 0.5


@pytest.mark.parametrize("fast", [True, False])
def test_automatic_precision_follows_the_processor(fast, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    wanted = torch.bfloat16 if fast else torch.float32
    assert prediction.precision_of(MatmulPrecision.AUTO, torch.device("cpu")) is wanted
    assert prediction.precision_of(MatmulPrecision.FP32, torch.device("cpu")) is torch.float32
    assert prediction.precision_of(MatmulPrecision.BF16, torch.device("cpu")) is torch.bfloat16


def test_mixed_precision_trains_and_keeps_weights_in_float32(make_run):
    run = make_run(settings=SETTINGS.model_copy(update={"precision": MatmulPrecision.BF16}))
    train(run)
    assert {value.dtype for value in run.model.state_dict().values()} == {torch.float32}


def test_predictions_come_in_the_order_of_the_texts(tiny_checkpoint, tokens):
    model = load_classifier(tiny_checkpoint, TWO)
    found = prediction.predict(model, tokens, precision=MatmulPrecision.FP32).values
    assert (found.shape, found.dtype) == ((ROWS, 2), np.float32)
    with torch.no_grad():
        for row in range(ROWS):
            ids, mask = map(torch.from_numpy, tokens.batch(np.array([row])))
            np.testing.assert_allclose(found[row], model(ids, mask).logits[0].numpy(), atol=1e-5)
