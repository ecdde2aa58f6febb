"""The settings of distillation: which losses count, and who the teacher is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from edgeroberta.context import Context
from edgeroberta.settings import StageConfig
from edgeroberta.training.hyperparameters import Hyperparameters, MatmulPrecision

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from edgeroberta.roberta.checkpoint import Checkpoint


class DistillWeights(StageConfig):
    """How much each loss counts; a loss of weight 0 is not computed."""

    logits: float = Field(
        default=1.0,
        ge=0,
        description="The teacher's logits, softened by the temperature; or its embeddings, and how alike"
        " these are among the texts of a batch.",
    )
    hard: float = Field(default=0.5, ge=0, description="The true labels; left out for unlabelled texts.")
    hidden: float = Field(
        default=0.0,
        ge=0,
        description="Hidden states of the teacher's layers that are not frozen, token by token; of the last"
        " layer what the head reads, its first token or all; projected if the widths differ.",
    )
    attention: float = Field(
        default=0.0, ge=0, description="Query, key and value relations of the teacher's last layer."
    )

    @model_validator(mode="after")
    def _something_to_learn(self) -> DistillWeights:
        if not (self.logits or self.hard or self.hidden or self.attention):
            raise ValueError("at least one weight must be above 0")
        return self


class DistillSettings(Hyperparameters):
    """How a student learns from its teacher; its shape is not part of it."""

    CONTENT: ClassVar[tuple[str, ...]] = ("teacher",)

    teacher: str | None = Field(
        None,
        description="Folder or Hub id of another teacher, any encoder with the task's labels; by default"
        " the baseline.",
    )
    temperature: float = Field(2.0, gt=0, description="Softens the teacher's logits; 1 does not.")
    weights: DistillWeights = Field(default=DistillWeights(), description="How much each loss counts.")
    relation_heads: int | None = Field(
        None,
        ge=1,
        description="Heads of the attention relations; by default the teacher's number, or the largest"
        " smaller one that divides both widths.",
    )
    augment: int = Field(
        0,
        ge=0,
        description="Changed copies of each training text, labelled by the teacher; of masked words, copies"
        " with other masks.",
    )


class Int8DistillWeights(DistillWeights):
    """How much each loss counts where a model learns to be itself in int8."""

    hard: float = Field(default=0.0, ge=0, description="The true labels.")
    hidden: float = Field(
        default=1.0,
        ge=0,
        description="Hidden states of the teacher's layers, token by token; of the last layer what the head"
        " reads, its first token or all.",
    )


class Int8DistillSettings(DistillSettings):
    """How an int8 model learns to answer as its teacher, whose answers it has but for the rounding."""

    texts: int = Field(
        9600, ge=1, description="Training texts to learn from; with 32 of them a step, 300 steps an epoch."
    )
    epochs: int = Field(1, ge=1, description="Passes over these texts.")
    learning_rate: float = Field(1e-5, gt=0, le=1, description="Highest learning rate of AdamW.")
    weight_decay: float = Field(
        0.0, ge=0, lt=1, description="Weight decay of matrices; biases and norms have none."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of hidden states.")
    weights: Int8DistillWeights = Field(
        default=Int8DistillWeights(), description="How much each loss counts."
    )
    eval_steps: int | None = Field(
        None,
        ge=1,
        description="Optimizer steps between evaluations, the best of which is kept; by default one at the"
        " end, since the metric hardly tells such models apart.",
    )
    precision: MatmulPrecision = Field(
        MatmulPrecision.FP32,
        description="Number format of the matrix products; in bf16 they round more than the engine does.",
    )

    @model_validator(mode="after")
    def _embeddings_stay(self) -> Int8DistillSettings:
        if not self.freeze_embeddings:
            raise ValueError("the embeddings are int8 already and stay: leave out freeze_embeddings: false")
        return self


@dataclass(frozen=True, eq=False)
class DistillationPlan:
    """A student and how it is to be taught."""

    student: PreTrainedModel
    tokenizer: Checkpoint  # the model whose tokenizer the student reads with
    #: teacher layers that the student's layers stand for, rising; None when unknown: they are paired by place
    layers: tuple[int, ...] | None
    settings: DistillSettings
    #: its training rows are learnt from with labels, unlabelled and augmented ones without the hard term
    context: Context
    label: str  # name of the work, for progress and errors
    scratch: Path  # folder for this training's checkpoints; another one for each training of a stage
    key: str  # digest of what the student is made of
    #: float32[H of the teacher, H of the student], a first guess of the map of hidden states to the teacher's
    #: width; by default a random one
    projection: Tensor | None = None
