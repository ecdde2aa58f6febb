"""The ``distill`` stage: a smaller student learns to answer as the teacher does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import RecipeError
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind, digest_value
from edgeroberta.tasks import Unit, Word
from edgeroberta.training import student_shape
from edgeroberta.training.distill_settings import DistillSettings
from edgeroberta.training.student_shape import LayerChoice, StudentShape

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.roberta.sensitivity import TextBatch
    from edgeroberta.tasks import Task

#: Training texts that a narrower student is made by: some thousand tokens, for two numbers per channel.
NARROWING_TEXTS = 256


class Initialization(Word):
    """What a narrower student starts from."""

    IMPORTANCE = "importance"  #: the teacher's most important channels
    SVD = "svd"  #: the main directions of the teacher's hidden states


class DistillConfig(StudentShape, DistillSettings):
    """What the student starts from, and how it learns from the teacher."""

    CONTENT: ClassVar[tuple[str, ...]] = ("teacher", "student")

    layers: LayerChoice = Field(
        "auto",
        description="Number of layers to keep, a share of them (0.5), or their indices from 0; auto keeps two"
        " thirds, or all of a student that was named.",
    )
    initialization: Initialization = Field(
        Initialization.IMPORTANCE, description="How a narrower student is initialized from the teacher."
    )
    student: str | None = Field(
        None,
        description="Folder or Hub id of a model of one of the families to start from instead, with its own "
        "tokenizer.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> DistillConfig:
        if self.student is not None and self.narrower:
            raise ValueError("student has its own widths: leave out hidden_size and intermediate_size")
        return self


@dataclass(frozen=True, eq=False)
class _Student:
    """A student before it is taught."""

    model: PreTrainedModel
    source: Checkpoint  # what it was made of; its tokenizer is the student's
    layers: tuple[int, ...]  # layers kept of that model
    #: layers of the baseline that its layers stand for, None when unknown
    stands_for: tuple[int, ...] | None
    projection: Tensor | None = None  # float32[H of the teacher, H]; None where the width is the same


def _check(config: DistillConfig, outset: RunOutline) -> RunOutline:
    """Refuse a teacher or student that cannot be used, and a shape that no such student has."""
    from edgeroberta.roberta import resolving
    from edgeroberta.storage.cache import cache_dir
    from edgeroberta.training import foreign

    outset.require_all_tokens("distill")
    if config.teacher is not None:
        foreign.check(config.teacher, outset.task)
    if (
        outset.task.kind.unit is Unit.MASK
        and config.hidden_size
        and config.initialization is Initialization.SVD
    ):
        raise RecipeError(
            "a model of masked words answers by the channels of its embeddings, and directions are none",
            where="distill.initialization",
            hint=f"take {Initialization.IMPORTANCE}",
        )
    _check_dimensions(outset.task, config.hidden_size, "distill.hidden_size")
    if config.student is not None:
        student = resolving.resolve(config.student, cache=cache_dir())
        _check_dimensions(outset.task, student.config.hidden_size, "distill.student")
        shape = student.config.shape
        layers = student_shape.layers(_of_named(config), len(shape.layers), where="distill")
        config.require_learning(len(layers), "distill")
        return replace(outset, model=student, shape=student_shape.with_layers(shape, layers))
    if outset.shape is None:
        return outset
    shape = config.of(outset.shape, where="distill")
    config.require_learning(len(shape.layers), "distill")
    return replace(outset, shape=shape)


def _of_named(config: DistillConfig) -> LayerChoice:
    """Say which layers of a named student are kept: by default all."""
    return 1.0 if config.layers == "auto" else config.layers


def _check_dimensions(task: Task, width: int | None, where: str) -> None:
    """Refuse a student whose embeddings have other dimensions than those that they are compared with."""
    if task.apart and width not in (None, task.dimensions):
        raise RecipeError(
            f"embeddings of {width} dimensions cannot be compared with the baseline's of {task.dimensions}",
            where=where,
            hint="leave the width as it is; fewer layers, heads and FFN neurons do not change dimensions",
            code="recipe.embedding-width",
        )


@stage(
    "distill",
    config=DistillConfig,
    reads=(Kind.CHECKPOINT,),
    writes=Kind.CHECKPOINT,
    distributed=True,
    check=_check,
)
def distill(config: DistillConfig, context: Context) -> Mapping[str, Any]:
    """Train a student, cut from the newest checkpoint or named, on the teacher's outputs."""
    from edgeroberta.training import distillation, finetuning

    if config.teacher is None:
        context.baseline.require_head()
    student = _named(config, context) if config.student else _cut(config, context)
    shape = [list(student.layers), config.hidden_size, config.intermediate_size, str(config.initialization)]
    plan = distillation.DistillationPlan(
        student.model,
        student.source,
        layers=student.stands_for if config.teacher is None else None,
        settings=config,
        context=context,
        label="distill",
        scratch=context.scratch,
        key=digest_value([student.source.digest, shape]),
        projection=student.projection,
    )
    notes = distillation.train_student(plan)
    finetuning.save(student.model, context, tokenizer=student.source)
    return {
        **notes,
        "layers": list(student.layers),
        "parameters_before": context.baseline.parameters,
        "parameters": student.model.num_parameters(),
    }


def _named(config: DistillConfig, context: Context) -> _Student:
    """Load the student that the recipe names; a base model gets a fresh head."""
    from edgeroberta.roberta import resolving, surgery
    from edgeroberta.storage.cache import cache_dir

    source = resolving.resolve(str(config.student), cache=cache_dir())
    whole = _load(source, config, context)
    layers = student_shape.layers(_of_named(config), whole.config.num_hidden_layers, where="distill")
    return _Student(surgery.keep_layers(whole, layers), source, layers, None)


def _cut(config: DistillConfig, context: Context) -> _Student:
    """Make a student of some layers of the newest checkpoint, and narrower where that is asked for."""
    from edgeroberta.training import student

    source = context.checkpoint
    source.require_head()
    whole = _load(source, config, context)
    made = student.cut(
        whole,
        config,
        where="distill",
        samples=lambda: _samples(source, config, context),
        directions=config.initialization is Initialization.SVD,
    )
    same_depth = whole.config.num_hidden_layers == context.baseline.config.layers
    return _Student(made.model, source, made.layers, made.layers if same_depth else None, made.projection)


def _samples(source: Checkpoint, config: DistillConfig, context: Context) -> Sequence[TextBatch]:
    """Take some of the training texts, by which a narrower student is made."""
    from edgeroberta.training import gradient_batches

    train = context.data.train
    order = np.random.default_rng(context.seed).permutation(len(train))
    return gradient_batches.samples(
        train.select(np.sort(order[:NARROWING_TEXTS])),
        context.task,
        source=source,
        max_length=config.max_length,
    )


def _load(source: Checkpoint, config: DistillConfig, context: Context) -> PreTrainedModel:
    from edgeroberta.roberta import loading

    return loading.load_classifier(
        source,
        context.task,
        seed=context.seed,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
    )
