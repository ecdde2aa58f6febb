"""The stage ``static``: a model without layers learns to answer as the teacher does, and becomes a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import RecipeError
from edgeroberta.settings import StageConfig
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind, digest_value
from edgeroberta.storage.files import GRAPH
from edgeroberta.tasks import Problem, Unit

if TYPE_CHECKING:
    from edgeroberta.training.static_student import StaticRun

#: Texts whose mean answer a student begins with.
_FIRST_TEXTS = 2048


class StaticConfig(StageConfig):
    """How a static model learns."""

    CONTENT: ClassVar[tuple[str, ...]] = ("teacher",)

    pairs: int = Field(
        2**17,
        ge=0,
        le=2**23,
        description="Entries that pairs of neighbouring tokens share; 0 for tokens alone.",
    )
    epochs: int = Field(4, ge=1, description="Passes over the training texts.")
    batch_size: int = Field(128, ge=1, description="Texts per step.")
    learning_rate: float = Field(5e-3, gt=0, le=1, description="Highest learning rate of AdamW.")
    dropout: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="Share of a text's tokens and pairs that count for nothing, others at every step.",
    )
    temperature: float = Field(2.0, gt=0, description="Softens the teacher's logits; 1 does not.")
    hard: float = Field(
        0.5, ge=0, description="How much the true labels count beside the teacher's logits, which count 1."
    )
    teacher: str | None = Field(
        None,
        description="Folder or Hub id of another teacher, any encoder with the task's labels; by default"
        " the baseline.",
    )
    augment: int = Field(
        0, ge=0, description="Changed copies of each training text, labelled by the teacher."
    )
    max_length: int = Field(
        128, ge=4, description="Longest training text in tokens; longer ones are truncated."
    )


def _check(config: StaticConfig, outset: RunOutline) -> RunOutline:
    """Refuse a task whose answers are of tokens, or stand in a space that a mean of votes does not give."""
    from edgeroberta.training import foreign

    task = outset.task
    if task.kind.unit is not Unit.TEXT or task.problem is Problem.EMBEDDING:
        raise RecipeError(
            f"a static model gives a text labels or a value, which {task.optimum_task} does not ask for",
            where="static",
            hint="leave out the stage, or the tier that it is in",
        )
    if config.teacher is not None:
        foreign.check(config.teacher, task)
    return replace(outset, without_layers=True)


@stage(
    "static",
    config=StaticConfig,
    reads=(Kind.CHECKPOINT,),
    writes=Kind.GRAPH,
    distributed=True,
    check=_check,
)
def static(config: StaticConfig, context: Context) -> Mapping[str, Any]:
    """Train a static model on the teacher's logits and write it as ``model.onnx``.

    The newest checkpoint gives it tokenizer and embeddings. Returns notes: the metric after every epoch, the
    entries of the table, their numbers, and how many are pairs', bytes of the graph, and the engine files.
    """
    from edgeroberta.roberta import static_graph
    from edgeroberta.training import prediction, static_student

    if config.teacher is None:
        context.baseline.require_head()
    run = _run(config, context)
    notes = static_student.train(run)
    process = prediction.accelerator()
    weights = run.student.weights()
    files = tuple(context.output / name for name in _names(context))
    if process.is_main_process:
        static_graph.write(weights, files)
        context.checkpoint.copy_files(context.output)
    process.wait_for_everyone()
    return {
        **notes,
        "entries": len(weights.table),
        "parameters": weights.table.size,
        "pairs": weights.pairs,
        "bytes": sum(file.stat().st_size for file in files),
        "files": [file.name for file in files],
    }


def _names(context: Context) -> tuple[str, ...]:
    """Return what the graph is to be called for the target's engines, which all run the same one."""
    from edgeroberta import backends

    engines = context.target.engines
    half = (backends.HALF_GRAPH,) if backends.wants_half_graph(engines) else ()
    int8 = (backends.INT8_GRAPH,) if backends.wants_int8_graph(engines) else ()
    return (GRAPH, *half, *int8)


def _run(config: StaticConfig, context: Context) -> StaticRun:
    """Ask the teacher about all texts, and make the student that is to learn from it."""
    import torch

    from edgeroberta.roberta import loading
    from edgeroberta.training import preparation, static_student
    from edgeroberta.training.distill_settings import DistillationPlan, DistillSettings, DistillWeights

    source = context.checkpoint
    origin = loading.load_classifier(source, context.task, seed=context.seed)
    settings = DistillSettings.model_validate(
        {
            **config.model_dump(exclude={"pairs", "hard"}),
            "weights": DistillWeights(logits=1, hard=config.hard),
        }
    )
    plan = DistillationPlan(
        origin,
        source,
        layers=None,
        settings=settings,
        context=context,
        label="static",
        scratch=context.scratch,
        key=digest_value([source.digest, config.pairs]),
    )
    data = preparation.prepare(plan)
    targets, first = data.distillation_targets, np.arange(min(len(data.tokens), _FIRST_TEXTS))
    mean = targets.outputs.batch(targets.matches.asked(first)).logits.mean(0)
    student = static_student.StaticStudent(
        origin.get_input_embeddings().weight,
        pairs=config.pairs,
        bias=torch.from_numpy(mean),
        dropout=config.dropout,
        seed=context.seed,
    )
    return static_student.StaticRun(student, data, settings, context)
