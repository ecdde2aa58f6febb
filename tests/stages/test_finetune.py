from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from edgeroberta import stages, targets
from edgeroberta.data.rows import Rows, Splits
from edgeroberta.errors import DataError
from edgeroberta.progress import Meter, Progress
from edgeroberta.roberta import checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.stages import Context
from edgeroberta.storage.artifact import Artifact, Kind, Lineage, digest_tree
from edgeroberta.tasks import Problem, Task
from edgeroberta.training import loop

TASKS = {
    "single": Task(Problem.SINGLE_LABEL, ("bad", "good")),
    "pair": Task(Problem.SINGLE_LABEL, ("bad", "good"), pair=True),
    "multi": Task(Problem.MULTI_LABEL, ("plot", "music", "acting")),
    "regression": Task(Problem.REGRESSION, ("score",)),
}
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 8, "learning_rate": 3e-3, "precision": "fp32"}


def rows_of(task: Task, count: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    good = random.integers(0, 2, count)
    words = (["terrible", "boring", "bad"], ["great", "lovely", "good"])
    texts = tuple(f"a {words[g][random.integers(3)]} film {i}" for i, g in enumerate(good))
    labels: Any = {
        Problem.SINGLE_LABEL: good,
        Problem.MULTI_LABEL: np.stack([good, 1 - good, good], 1).astype(np.float32),
        Problem.REGRESSION: good.astype(np.float32),
    }[task.problem]
    return Rows(texts, texts[::-1] if task.pair else None, labels, "reviews.csv")


@pytest.fixture
def make_context(tiny_headless_checkpoint: Path, tmp_path: Path) -> Callable[..., Context]:
    def make(name: str = "run", task: Task = TASKS["single"], **fields: Any) -> Context:
        folder = tmp_path / name
        for part in ("output", "scratch"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        source = Artifact(
            tiny_headless_checkpoint, Kind.CHECKPOINT, Lineage("source", "", {}, 0, {}, {}, 0.0)
        )
        data = Splits(rows_of(task, 64, 0), rows_of(task, 16, 1), rows_of(task, 16, 2), None, task.labels)
        context = Context(
            output=folder / "output",
            scratch=folder / "scratch",
            inputs={Kind.CHECKPOINT: source},
            full_size=tiny_headless_checkpoint,
            task=task,
            data=data,
            target=targets.load("cpu"),
            seed=0,
            reference=None,
            progress=Progress(),
        )
        return replace(context, **fields)

    return make


def finetune(context: Context, **config: Any) -> dict[str, Any]:
    stage = stages.get("finetune")
    return dict(stage.run(stage.config(**{**FAST, **config}), context))


def test_the_stage_declares_what_it_reads_and_writes() -> None:
    stage = stages.get("finetune")
    assert (stage.reads, stage.writes, stage.distributed) == ((Kind.CHECKPOINT,), Kind.CHECKPOINT, True)


@pytest.mark.parametrize("kind", TASKS)
def test_a_base_model_becomes_a_checked_classifier(
    kind: str, make_context: Callable[..., Context], tmp_path: Path
) -> None:
    task = TASKS[kind]
    context = make_context(task=task)
    notes = finetune(context)
    assert checkpoint.resolve(str(context.output), cache=tmp_path / "cache") == context.output
    checkpoint.require_head(context.output)
    assert checkpoint.task_of(context.output) == replace(task, pair=False)
    assert notes["metric"] == task.metric
    assert notes["steps"] == 16
    assert len(notes["history"]) == 2
    json.dumps(notes, allow_nan=False)


def test_the_task_is_learnt(make_context: Callable[..., Context]) -> None:
    notes = finetune(make_context(), epochs=10, dropout=0, freeze_embeddings=False)
    assert notes["best_score"] == 1.0
    assert notes["history"][-1]["loss_hard"] < 0.5 * notes["history"][0]["loss_hard"]


def test_the_result_has_the_files_of_a_model_folder(make_context: Callable[..., Context]) -> None:
    context = make_context()
    finetune(context, epochs=1)
    assert {file.name for file in context.output.iterdir()} == {
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_source_is_not_changed(
    make_context: Callable[..., Context], tiny_headless_checkpoint: Path
) -> None:
    before = digest_tree(tiny_headless_checkpoint)
    finetune(make_context(), epochs=1)
    assert digest_tree(tiny_headless_checkpoint) == before


def test_an_interrupted_stage_run_again_gives_the_same_files(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_PAUSE", 0)

    class Killed(BaseException):
        pass

    class Kill(Progress):
        def _step(self, meter: Meter) -> None:
            if meter.done == 11:
                raise Killed

    straight = make_context("straight")
    notes = finetune(straight, checkpoint_seconds=0)
    with pytest.raises(Killed):
        finetune(make_context("resumed", progress=Kill()), checkpoint_seconds=0)
    resumed = make_context("resumed")
    assert finetune(resumed, checkpoint_seconds=0) == notes
    assert digest_tree(resumed.output) == digest_tree(straight.output)


def test_the_same_seed_gives_the_same_files_and_another_does_not(
    make_context: Callable[..., Context],
) -> None:
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        context = make_context(name, seed=seed)
        finetune(context, epochs=1)
        digests.append(digest_tree(context.output))
    assert digests[0] == digests[1] != digests[2]


def test_a_fine_tuned_model_keeps_its_head_when_trained_further(
    make_context: Callable[..., Context], tiny_checkpoint: Path
) -> None:
    task = TASKS["single"]
    source = Artifact(tiny_checkpoint, Kind.CHECKPOINT, Lineage("source", "", {}, 0, {}, {}, 0.0))
    context = make_context(inputs={Kind.CHECKPOINT: source})
    finetune(context, epochs=1, learning_rate=1e-9)
    before, after = load_classifier(tiny_checkpoint, task), load_classifier(context.output, task)
    torch.testing.assert_close(before.state_dict(), after.state_dict(), rtol=0, atol=1e-6)


def test_rows_without_labels_are_refused(make_context: Callable[..., Context]) -> None:
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
def test_bad_settings_are_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        stages.get("finetune").config(**{field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_every_setting_is_described() -> None:
    fields = stages.get("finetune").config.model_fields
    assert [name for name, field in fields.items() if not field.description] == []
