"""The settings of pre-training."""

from __future__ import annotations

from pydantic import Field, model_validator

from edgeroberta.tasks import Word
from edgeroberta.training.agnostic_settings import AgnosticSettings
from edgeroberta.training.hyperparameters import Hyperparameters, MaskingSettings
from edgeroberta.training.packing import PackingSettings

#: Settings of a model with random weights, and the fields of config.json that they are.
_DIMENSIONS = {
    "layers": "num_hidden_layers",
    "hidden_size": "hidden_size",
    "attention_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
}


class Masking(Word):
    """When the masks of a text are drawn."""

    DYNAMIC = "dynamic"  #: anew whenever the text is seen, as RoBERTa's
    STATIC = "static"  #: beforehand, some sets of them for each text, as BERT's


class Initialization(Word):
    """What the weights are before the first step."""

    CHECKPOINT = "checkpoint"  #: those of the model
    RANDOM = "random"  #: drawn by chance; the model gives family, tokenizer and what is not said of the shape


class PretrainConfig(Hyperparameters, MaskingSettings, PackingSettings):
    """How a model learns from unlabelled text; its defaults are RoBERTa's, in smaller batches."""

    epochs: int = Field(1, ge=1, description="Passes over the text.")
    steps: int | None = Field(
        None, ge=1, description="Optimizer steps, however many passes they are; by default epochs decide."
    )
    batch_size: int = Field(32, ge=1, description="Blocks per forward pass, over all processes together.")
    accumulation: int = Field(
        8, ge=1, description="Forward passes per optimizer step: 32 blocks and 8 passes are batches of 256."
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Highest learning rate of AdamW.")
    warmup: float = Field(
        0.06, ge=0, lt=1, description="Fraction of all steps in which the learning rate rises."
    )
    beta2: float = Field(
        0.98, gt=0, lt=1, description="Decay of AdamW's mean of squared gradients: 0.98 for large batches."
    )
    attention_dropout: float = Field(
        0.1, ge=0, lt=1, description="Dropout of attention weights; above 0, no fused attention on GPUs."
    )
    max_length: int = Field(512, ge=8, description="Tokens of a block of text.")
    freeze_embeddings: bool = Field(False, description="Do not train the embeddings.")
    masking: Masking = Field(
        Masking.DYNAMIC, description="Draw masks anew at every visit of a text (dynamic), or once (static)."
    )
    mask_copies: int = Field(
        10, ge=1, description="Of static masks, how many sets each text has, which its visits take in turn."
    )
    whole_words: bool = Field(
        False,
        description="Mask all tokens of a word together; of scripts without spaces, those of a character or"
        " of a piece.",
    )
    initialization: Initialization = Field(
        Initialization.CHECKPOINT, description="Weights of the model, or random ones."
    )
    layers: int | None = Field(None, ge=1, description="Layers of a model with random weights.")
    hidden_size: int | None = Field(None, ge=1, description="Width of a model with random weights.")
    attention_heads: int | None = Field(
        None, ge=1, description="Attention heads per layer of a model with random weights."
    )
    intermediate_size: int | None = Field(None, ge=1, description="FFN width of a model with random weights.")
    head_steps: int | None = Field(
        None,
        ge=0,
        description="Steps in which a fresh head for masked words learns alone, before the encoder does; by"
        " default a tenth of all where the checkpoint has no such head.",
    )

    student: AgnosticSettings | None = Field(
        None,
        description="Cut a student from the model, and let it learn of the model as well as of the text; by"
        " default the model itself learns.",
    )

    @model_validator(mode="after")
    def _dimensions_are_of_random_weights(self) -> PretrainConfig:
        if self.initialization is Initialization.CHECKPOINT and self.dimensions:
            name = next(each for each in _DIMENSIONS if getattr(self, each) is not None)
            if self.student is not None:
                raise ValueError(f"{name} is not of the student: write student: {{{name}: …}}")
            raise ValueError(f"{name} is of a model with random weights: add initialization: random")
        return self

    @model_validator(mode="after")
    def _students_are_cut(self) -> PretrainConfig:
        if self.student is not None and self.initialization is Initialization.RANDOM:
            raise ValueError("a student is cut from the model: leave out initialization: random")
        return self

    @property
    def dimensions(self) -> dict[str, int]:
        """The fields of config.json that are changed."""
        given = {field: getattr(self, name) for name, field in _DIMENSIONS.items()}
        return {field: value for field, value in given.items() if value is not None}
