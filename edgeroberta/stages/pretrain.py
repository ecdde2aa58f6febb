"""The ``pretrain`` stage: a model learns the masked words of unlabelled text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import DataError, RecipeError
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind, digest_value
from edgeroberta.tasks import Word
from edgeroberta.training.hyperparameters import Hyperparameters, MaskingSettings
from edgeroberta.training.packing import PackingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.data.documents import Documents
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.tasks import Task
    from edgeroberta.training.blocks import PackedCorpus
    from edgeroberta.training.checkpoints import TrainingState
    from edgeroberta.training.pretraining import MaskDraws

#: Evaluations on held-out text, where the recipe does not say how often.
EVALUATIONS = 10
#: Part of all steps in which a fresh head learns alone, and the rate at which it does.
HEAD_SHARE, HEAD_RATE = 0.1, 1e-3
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
        False, description="Mask all tokens of a word together; for tokenizers that tell where words begin."
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

    @model_validator(mode="after")
    def _dimensions_are_of_random_weights(self) -> PretrainConfig:
        if self.initialization is Initialization.CHECKPOINT and self.dimensions:
            name = next(each for each in _DIMENSIONS if getattr(self, each) is not None)
            raise ValueError(f"{name} is of a model with random weights: add initialization: random")
        return self

    @property
    def dimensions(self) -> dict[str, int]:
        """The fields of config.json that are changed."""
        given = {field: getattr(self, name) for name, field in _DIMENSIONS.items()}
        return {field: value for field, value in given.items() if value is not None}


def _check(config: PretrainConfig, outset: RunOutline) -> RunOutline:
    """Refuse blocks longer than the model, a shape that no model has, and a tokenizer without masks."""
    from edgeroberta.runtime import mask_token

    model = outset.model
    mask_token.find(model.folder)
    if config.max_length > model.max_length:
        raise RecipeError(
            f"blocks of {config.max_length} tokens, and the model reads {model.max_length}",
            where="pretrain.max_length",
            hint=f"choose 8 to {model.max_length}",
        )
    if outset.shape is None:
        return outset
    shape = outset.shape
    if config.initialization is Initialization.CHECKPOINT:
        config.require_learning(len(shape.layers), "pretrain")
        return outset
    width = config.hidden_size or shape.hidden_size
    heads = config.attention_heads or model.config.heads
    if width % heads:
        raise RecipeError(
            f"a width of {width} cannot be divided among {heads} attention heads",
            where="pretrain.hidden_size",
            hint=f"choose a multiple of {heads}, or other attention_heads",
        )
    layer = LayerShape(heads, config.intermediate_size or model.config.intermediate_size)
    layers = (layer,) * (config.layers or model.config.layers)
    config.require_learning(len(layers), "pretrain")
    return replace(outset, shape=replace(shape, hidden_size=width, head_size=width // heads, layers=layers))


@stage(
    "pretrain",
    config=PretrainConfig,
    reads=(Kind.CHECKPOINT,),
    writes=Kind.CHECKPOINT,
    distributed=True,
    check=_check,
    of_text=True,
)
def pretrain(config: PretrainConfig, context: Context) -> Mapping[str, Any]:
    """Train the newest checkpoint, or a model with random weights, on the masked words of the corpus."""
    from edgeroberta.training import finetuning, loop, packing, prediction
    from edgeroberta.training.pretraining import HeldoutText, PretrainingObjective
    from edgeroberta.training.run import TrainingRun

    source, documents = context.checkpoint, _corpus(context)
    packed = packing.pack(
        documents,
        source,
        folder=context.scratch / "text",
        settings=config,
        length=config.max_length,
        seed=context.seed,
        progress=finetuning.progress_of(context),
    )
    task = _task(source)
    model = _model(config, source, task, context.seed)
    per_epoch = math.ceil(packed.train.count / (config.batch_size * config.accumulation))
    draws = _draws(config, source, context.seed, per_epoch)
    heldout = HeldoutText(packed.heldout, draws, config.batch_size, config.precision)
    steps = config.steps or per_epoch * config.epochs
    objective = PretrainingObjective(model, packed.train, draws)
    run = TrainingRun(
        label="pretrain",
        model=model,
        tokens=packed.train,
        objective=objective,
        settings=config.model_copy(update={"eval_steps": config.eval_steps or max(1, steps // EVALUATIONS)}),
        scratch=context.scratch,
        key=digest_value([documents.digest, source.digest]),
        companion=objective.head,
        fresh_ids=True,
        units=objective.units,
        steps=steps,
        beta2=config.beta2,
        evaluate=heldout.evaluate,
        seed=context.seed,
        progress=finetuning.progress_of(context),
    )
    head_steps = _head_steps(config, source, steps)
    if head_steps:
        _train_head(replace(run, steps=head_steps, scratch=context.scratch / "head"))
    before = heldout.evaluate(model.to(prediction.accelerator().device))
    state = loop.train(run)
    finetuning.save(model, context, tokenizer=source)
    return _notes(packed, state, before, head_steps)


def _corpus(context: Context) -> Documents:
    if context.corpus is None:
        raise DataError(
            "pretrain learns from unlabelled text, and there is none", hint="add --unlabelled PATH"
        )
    return context.corpus


def _task(source: Checkpoint) -> Task:
    from edgeroberta.runtime import mask_token
    from edgeroberta.tasks import Problem, Task, masked

    token = mask_token.find(source.folder)
    return Task(Problem.MASKED, (), dimensions=masked.width(source.config.vocab_size), mask_id=token.id)


def _model(config: PretrainConfig, source: Checkpoint, task: Task, seed: int) -> PreTrainedModel:
    from edgeroberta.roberta import loading

    if config.initialization is Initialization.RANDOM:
        return loading.random_model(
            source,
            task,
            config.dimensions,
            seed=seed,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
        )
    return loading.load_classifier(
        source, task, seed=seed, dropout=config.dropout, attention_dropout=config.attention_dropout
    )


def _draws(config: PretrainConfig, source: Checkpoint, seed: int, per_epoch: int) -> MaskDraws:
    from edgeroberta.training.masked_tokens import TokenMasking
    from edgeroberta.training.pretraining import MaskDraws

    masking = TokenMasking.of(
        source,
        share=config.mask_share,
        random=config.mask_random,
        kept=config.mask_kept,
        whole_words=config.whole_words,
    )
    return MaskDraws(
        masking, seed, per_epoch, config.mask_copies if config.masking is Masking.STATIC else None
    )


def _head_steps(config: PretrainConfig, source: Checkpoint, steps: int) -> int:
    """Tell for how many steps the head learns alone."""
    from edgeroberta.tasks import Problem

    if config.head_steps is not None:
        return config.head_steps
    if config.initialization is Initialization.RANDOM or source.task.problem is Problem.MASKED:
        return 0
    return math.ceil(HEAD_SHARE * steps)


def _train_head(run: Any) -> None:
    """Train what stands on the encoder, which stays as it is."""
    from edgeroberta.training import loop

    encoder = run.model.base_model
    learning = [each for each in encoder.parameters() if each.requires_grad]
    encoder.requires_grad_(False)
    settings = run.settings.model_copy(
        update={"learning_rate": HEAD_RATE, "eval_steps": run.steps, "freeze_layers": 0}
    )
    try:
        loop.train(replace(run, label="pretrain.head", settings=settings))
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _notes(
    packed: PackedCorpus, state: TrainingState, before: Mapping[str, float], head_steps: int
) -> dict[str, Any]:
    from edgeroberta.training import checkpoints, prediction

    process = prediction.accelerator()
    found = checkpoints.as_notes(state)
    return {
        "documents": packed.documents,
        "tokens": packed.tokens,
        "bytes": packed.bytes,
        "blocks": len(packed.train),
        "heldout_blocks": len(packed.heldout),
        "steps": state.step,
        "head_steps": head_steps,
        "tokens_seen": state.tokens,
        "seconds": round(state.seconds, 3),
        "tokens_per_second": round(state.tokens / state.seconds, 1) if state.seconds else None,
        "device": process.device.type,
        "processes": process.num_processes,
        **found,
        "history": [{"step": 0, "epoch": 0.0, **before}, *found["history"]],
    }
