"""Stages: each takes artifacts and its own config and writes one new artifact.

A stage is a frozen pydantic config and a function, joined by :func:`stage`. The module of a stage
imports its heavy packages (torch, onnx) inside the function, so that recipes validate without them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.context import Context, RunOutline
from edgeroberta.settings import StageConfig
from edgeroberta.storage.artifact import Kind

StageFunction = Callable[[Any, Context], Mapping[str, Any]]
#: Refuses what a stage could not do, by the contents of files alone; returns what the next one begins with.
StageCheck = Callable[[Any, RunOutline], RunOutline]


@dataclass(frozen=True)
class Stage:
    """A stage as the pipeline sees it."""

    name: str  # its name in recipes
    config: type[StageConfig]  # its config class
    run: StageFunction  # writes the artifact into ``context.output`` and returns notes for the lineage
    reads: tuple[Kind, ...]  # kinds of artifact that must exist before it
    writes: Kind  # kind of artifact it makes
    #: True when every process of an ``accelerate launch`` takes part in it; other stages run on the main
    #: process alone
    distributed: bool
    #: refuses what only the contents of files decide, before anything runs; None where nothing does
    check: StageCheck | None = None
    #: True when it learns from unlabelled text alone: its result depends neither on labelled rows nor on the
    #: task, so that one serves many of them
    of_text: bool = False

    @property
    def depends(self) -> tuple[str, ...]:
        """What its result depends on beside its config and its inputs."""
        return _OF_TEXT if self.of_text else DEPENDS[self.writes]


#: Stage name to the module that defines it; a new stage is a module and a row here.
MODULES = {
    "tokenizer": "edgeroberta.stages.tokenizer",
    "pretrain": "edgeroberta.stages.pretrain",
    "finetune": "edgeroberta.stages.finetune",
    "distill": "edgeroberta.stages.distill",
    "prune": "edgeroberta.stages.prune",
    "vocabulary": "edgeroberta.stages.vocabulary",
    "export": "edgeroberta.stages.export",
    "quantize": "edgeroberta.stages.quantize",
    "static": "edgeroberta.stages.static",
    "build": "edgeroberta.stages.build",
    "cascade": "edgeroberta.stages.cascade",
    "verify": "edgeroberta.stages.verify",
    "bundle": "edgeroberta.stages.bundle",
}

#: What a stage's result can depend on beside its config and its inputs, by the kind that it writes: a
#: change of anything else does not run it again. The pipeline puts these into the stage's key. Nothing
#: before ``verify`` sees the held-out rows: others do not train, calibrate or build again. A stage that
#: depends on more with some settings only says so in :meth:`StageConfig.depends`, where ``device`` stands
#: for this machine as the target's engine sees it: its processor, and the engine's version.
DEPENDS = {
    Kind.CHECKPOINT: ("training_data", "seed"),
    Kind.GRAPH: ("training_data", "seed", "target"),
    Kind.DRAFT: ("training_data", "seed", "target"),
    Kind.REPORT: ("data", "seed", "target", "reference"),
    Kind.BUNDLE: ("data", "seed", "target", "reference", "recipe"),
}

#: The same of stages that learn from unlabelled text alone.
_OF_TEXT = ("corpus", "seed")

#: Stages that make the baseline when they stand first: what they write is the teacher.
TEACHER_STAGES = ("tokenizer", "pretrain", "finetune")

_REGISTRY: dict[str, Stage] = {}


def stage(
    name: str,
    *,
    config: type[StageConfig],
    reads: tuple[Kind, ...],
    writes: Kind,
    distributed: bool = False,
    check: StageCheck | None = None,
    of_text: bool = False,
) -> Callable[[StageFunction], StageFunction]:
    """Register the decorated function as the stage ``name``."""

    def register(function: StageFunction) -> StageFunction:
        _REGISTRY[name] = Stage(name, config, function, reads, writes, distributed, check, of_text)
        return function

    return register


def get(name: str) -> Stage:
    """Return the stage called ``name``, importing its module. Raises KeyError: there is no such stage."""
    importlib.import_module(MODULES[name])
    return _REGISTRY[name]
