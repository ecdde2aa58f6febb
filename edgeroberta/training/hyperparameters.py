"""The hyperparameters that every training stage shares, with their defaults and bounds."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from edgeroberta.errors import RecipeError
from edgeroberta.settings import StageConfig
from edgeroberta.tasks import Word


class Schedule(Word):
    """How the learning rate falls after warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class MatmulPrecision(Word):
    """Number format of the matrix products; weights and optimizer stay float32."""

    AUTO = "auto"  #: bf16 where the processor multiplies it natively, fp32 elsewhere
    BF16 = "bf16"
    FP32 = "fp32"


class MaskingSettings(StageConfig):
    """What stands in the place of masked tokens, as BERT and RoBERTa have it."""

    mask_random: float = Field(
        0.1, ge=0, le=1, description="Of masked tokens, the share that a token drawn by chance stands for."
    )
    mask_kept: float = Field(
        0.1, ge=0, le=1, description="Of masked tokens, the share that stays as it is; the rest is masks."
    )

    @model_validator(mode="after")
    def _some_masks(self) -> MaskingSettings:
        if self.mask_random + self.mask_kept > 1:
            raise ValueError("mask_random and mask_kept are shares of the same tokens: at most 1 together")
        return self


class Hyperparameters(StageConfig):
    """What a training run is governed by.

    One optimizer step sees ``batch_size * accumulation`` texts over all processes together, so a
    recipe means the same on one CPU and on several GPUs.
    """

    epochs: int = Field(2, ge=1, description="Passes over the training texts.")
    batch_size: int = Field(32, ge=1, description="Texts per forward pass, over all processes together.")
    accumulation: int = Field(1, ge=1, description="Forward passes per optimizer step.")
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Highest learning rate of AdamW.")
    warmup: float = Field(
        0.1, ge=0, lt=1, description="Fraction of all steps in which the learning rate rises."
    )
    schedule: Schedule = Field(Schedule.LINEAR, description="How the learning rate falls after warm-up.")
    weight_decay: float = Field(
        0.01, ge=0, lt=1, description="Weight decay of matrices; biases and norms have none."
    )
    max_gradient_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout of hidden states.")
    attention_dropout: float = Field(
        0.0, ge=0, lt=1, description="Dropout of attention weights; above 0, no fused attention on GPUs."
    )
    max_length: int = Field(
        128, ge=4, description="Longest training text in tokens; longer ones are truncated."
    )
    mask_share: float = Field(
        0.15, gt=0, lt=1, description="Share of each text's tokens to mask and learn, of masked words."
    )
    freeze_embeddings: bool = Field(
        True,
        description="Do not train the embeddings: they are most of a small model's parameters.",
    )
    freeze_layers: int = Field(
        0,
        ge=0,
        description="Lowest layers that are not trained, like the embeddings, and have no dropout. They run"
        " once, and their outputs are kept on disk: on a CPU, time falls with their number.",
    )
    frozen_gb: float = Field(
        8,
        ge=0,
        description="Most GB (10^9 bytes) on disk for the outputs of frozen layers, 4 bytes per token and"
        " channel; if they need more, the layers run at every step.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="Evaluations in a row without a better score after which training stops; by default it"
        " runs to the last epoch. The best weights are kept either way.",
    )
    precision: MatmulPrecision = Field(
        MatmulPrecision.AUTO, description="Number format of the matrix products."
    )
    eval_steps: int | None = Field(
        None,
        ge=1,
        description="Optimizer steps between evaluations; by default one evaluation per epoch, ten in all of"
        " `pretrain`.",
    )
    checkpoint_seconds: float = Field(
        60, ge=0, description="Minimum seconds between two checkpoints to resume from."
    )

    @model_validator(mode="after")
    def _embeddings_lie_below_layers(self) -> Hyperparameters:
        if self.freeze_layers and not self.freeze_embeddings:
            raise ValueError("frozen layers need frozen embeddings: leave out freeze_embeddings: false")
        return self

    def require_learning(self, depth: int, label: str) -> None:
        """Refuse to freeze all layers of a model. Raises RecipeError: None would be left to learn."""
        if self.freeze_layers >= depth:
            raise RecipeError(
                f"{self.freeze_layers} frozen layers leave nothing to learn in a model of {depth}",
                where=f"{label}.freeze_layers",
                hint=f"choose 0 to {depth - 1}",
            )


def learning_rate(settings: Hyperparameters, step: int, total: int) -> float:
    """Return the learning rate of a step, from 0: a linear rise, then the schedule's fall to zero."""
    warm = math.ceil(settings.warmup * total)
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    left = (total - step) / max(total - warm, 1)
    shape = {
        Schedule.LINEAR: left,
        Schedule.COSINE: 0.5 * (1 - math.cos(math.pi * left)),
        Schedule.CONSTANT: 1.0,
    }
    return settings.learning_rate * shape[settings.schedule]
