"""Quick stages for tests: each leaves a line in a log, and its output follows from its input."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta import distributed, targets
from edgeroberta.context import Context
from edgeroberta.data import Rows, Splits
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.recipe import Recipe, RecipeStep
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.settings import StageConfig
from edgeroberta.stages import Stage
from edgeroberta.storage.artifact import Kind, digest_file, digest_value, write_json, write_text
from edgeroberta.tasks import Problem, Task

TRAINING_STEPS = 3


class FakeConfig(StageConfig):
    """``log`` is part of the config only because a stage reads nothing but its config and context."""

    log: Path
    value: int = 0
    verdict: str = "PASS"
    seconds: float = 0.0
    initialization: str = "checkpoint"
    vocabulary: str = "keep"


def started(log: Path) -> list[str]:
    """What ran, in order: names of stages, and one line per training step."""
    return log.read_text().split() if log.exists() else []


def note(log: Path, line: str) -> None:
    with log.open("a") as handle:
        handle.write(line + "\n")
        handle.flush()
        os.fsync(handle.fileno())


def _write(name: str, config: FakeConfig, context: Context, reads: tuple[Kind, ...]) -> None:
    before = [context.inputs[kind].lineage.content for kind in reads]
    assert not list(context.output.iterdir()), "the output folder must be empty"
    (context.output / "inner").mkdir()
    write_text(
        context.output / "inner" / "content.txt", digest_value([name, config.value, context.seed, before])
    )


def train(config: FakeConfig, context: Context) -> Mapping[str, Any]:
    note(config.log, "finetune")
    if not distributed.current().main:
        return {}
    checkpoint = context.scratch / "step"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    with context.progress.bar("train", TRAINING_STEPS, "steps", done=done) as advance:
        for step in range(done, TRAINING_STEPS):
            note(config.log, "step")
            write_text(checkpoint, str(step + 1))
            advance()
    _write("train", config, context, (Kind.CHECKPOINT,))
    write_json(context.output / "config.json", {"trained": True})
    return {"baseline": str(context.baseline)}


def pretrain(config: FakeConfig, context: Context) -> Mapping[str, Any]:
    """Hand on the model's files, and say that it has learnt something of the corpus."""
    note(config.log, "pretrain")
    assert context.corpus is not None
    count = sum(map(len, context.corpus.chunks()))
    if not distributed.current().main:
        return {}
    checkpoint = context.scratch / "step"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for step in range(done, TRAINING_STEPS):
        note(config.log, "step")
        write_text(checkpoint, str(step + 1))
    time.sleep(config.seconds)
    for file in context.checkpoint.folder.iterdir():
        if file.is_file() and file.name != "artifact.json":
            shutil.copy(file, context.output / file.name)
    history = [
        {"step": step, "epoch": step / 3, "loss_masked": 3.0, "perplexity": 20.0 - step, "accuracy": 0.3}
        for step in range(TRAINING_STEPS + 1)
    ]
    del history[0]["loss_masked"]
    return {
        "documents": count,
        "tokens": 90,
        "tokens_seen": 270,
        "steps": TRAINING_STEPS,
        "best_step": TRAINING_STEPS,
        "seconds": 1.5,
        "tokens_per_second": 180.0,
        "device": "cpu",
        "history": history,
    }


def export(config: FakeConfig, context: Context) -> Mapping[str, Any]:
    note(config.log, "export")
    _write("export", config, context, (Kind.CHECKPOINT,))
    return {}


def build(config: FakeConfig, context: Context) -> Mapping[str, Any]:
    note(config.log, "build")
    time.sleep(config.seconds)
    _write("build", config, context, (Kind.GRAPH,))
    return {}


def verify(config: FakeConfig, context: Context) -> Mapping[str, Any]:
    note(config.log, "verify")
    _write("verify", config, context, (Kind.DRAFT,))
    write_json(
        context.output / "report.json",
        REPORT | {"judgement": {"verdict": config.verdict, "reason": "because"}},
    )
    return {}


def bundle(config: FakeConfig, context: Context) -> Mapping[str, Any]:
    note(config.log, "bundle")
    _write("bundle", config, context, (Kind.DRAFT, Kind.REPORT))
    write_text(context.output / "recipe.yaml", context.recipe_text)
    write_text(context.output / "README.md", "A card.\n")
    made = ("inner/content.txt", "recipe.yaml", "README.md")
    files = {name: {"sha256": digest_file(context.output / name)} for name in made}
    write_json(context.output / "manifest.json", {"kind": "edgeroberta-bundle", "files": files})
    return {"stages": [lineage.stage for lineage in context.history]}


LATENCY = {"mean_ms": 1.5, "p50_ms": 1.25, "p90_ms": 2.0, "p99_ms": 2.5}
REPORT = {
    "metric": "accuracy",
    "baseline": {"bytes": 120_000_000, "metrics": {"accuracy": 0.875}, "latency": None},
    "engines": [
        {
            "engine": "onnxruntime",
            "status": "ok",
            "judgement": {"verdict": "PASS"},
            "bytes": 30_000_000,
            "metrics": {"accuracy": 0.8625},
            "agreement": 0.975,
            "latency": LATENCY,
        }
    ],
}

CHECKPOINT, GRAPH, DRAFT, REPORT_KIND, BUNDLE = Kind
STAGES = (
    Stage("finetune", FakeConfig, train, (CHECKPOINT,), CHECKPOINT, True),
    Stage("export", FakeConfig, export, (CHECKPOINT,), GRAPH, False),
    Stage("build", FakeConfig, build, (GRAPH,), DRAFT, False),
    Stage("verify", FakeConfig, verify, (DRAFT,), REPORT_KIND, False),
    Stage("bundle", FakeConfig, bundle, (DRAFT, REPORT_KIND), BUNDLE, False),
)
NAMES = tuple(stage.name for stage in STAGES)
OF_TEXT = Stage("pretrain", FakeConfig, pretrain, (CHECKPOINT,), CHECKPOINT, True, None, True)


def recipe(log: Path, **settings: Mapping[str, Any]) -> Recipe:
    """The five stages in order; ``settings`` by the name of the stage."""
    steps = tuple(RecipeStep(stage, FakeConfig(log=log, **settings.get(stage.name, {}))) for stage in STAGES)
    return Recipe("fake", "for tests", steps, "fake.yaml", f"name: fake\nsettings: {json.dumps(settings)}\n")


def of_text(log: Path, **settings: Any) -> Recipe:
    """A recipe that ends in a checkpoint."""
    step = RecipeStep(OF_TEXT, FakeConfig(log=log, **settings))
    written = {"log": str(log), **settings}
    return Recipe(
        "adapt", "for tests", (step,), "adapt.yaml", f"name: adapt\nsettings: {json.dumps(written)}\n"
    )


def rows(*texts: str) -> Rows:
    return Rows(texts, None, np.arange(len(texts), dtype=np.int64) % 2, "reviews.csv")


def job(
    folder: Path, *, texts: tuple[str, ...] = ("good", "bad"), target: str = "cpu", **fields: Any
) -> PipelineJob:
    """A job on a model folder that is made here, with output and work folder below ``folder``."""
    model = folder / "model"
    model.mkdir(exist_ok=True)
    if not (model / "config.json").exists():
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_bytes(b"weights")
    task = Task(Problem.SINGLE_LABEL, ("no", "yes"))
    data = Splits(rows(*texts), rows("so so"), rows("fine"), None, task.labels)
    places = {"output": folder / "out", "work": folder / "out.work"}
    return PipelineJob(Checkpoint.of(model), task, data, targets.load(target), **{**places, **fields})
