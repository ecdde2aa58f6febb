"""The ``pretrain`` stage: a model learns the masked words of unlabelled text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import DataError, RecipeError
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind, digest_value
from edgeroberta.training.pretrain_settings import Initialization, Masking, PretrainConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.data.documents import Documents
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.tasks import Task
    from edgeroberta.training.blocks import PackedCorpus
    from edgeroberta.training.checkpoints import TrainingState
    from edgeroberta.training.pretraining import MaskDraws, PretrainingObjective
    from edgeroberta.training.run import TrainingRun

#: Evaluations on held-out text, where the recipe does not say how often.
EVALUATIONS = 10
#: Place of the student's settings, for errors.
STUDENT = "pretrain.student"
#: Part of all steps in which a fresh head learns alone, and the rate at which it does.
HEAD_SHARE, HEAD_RATE = 0.1, 1e-3


def _check(config: PretrainConfig, outset: RunOutline) -> RunOutline:
    """Refuse blocks longer than the model, shapes that no model has, and a tokenizer without masks."""
    from edgeroberta.runtime import mask_token

    model = outset.model
    mask_token.find(model.folder)
    if config.max_length > model.max_length:
        raise RecipeError(
            f"blocks of {config.max_length} tokens, and the model reads {model.max_length}",
            where="pretrain.max_length",
            hint=f"choose 8 to {model.max_length}",
        )
    if config.student is not None:
        outset = config.student.check(outset, where=STUDENT)
    outset = replace(outset, masked_words=True)
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
    """Train the newest checkpoint, its student, or a model with random weights on the words of the corpus."""
    from edgeroberta.training import agnostic_distillation, finetuning, fresh_head, loop, packing, prediction
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
    pair = None
    if config.student is not None:
        pair = agnostic_distillation.prepare(
            model,
            config.student,
            blocks=packed.train,
            source=source,
            task=task,
            seed=context.seed,
            where=STUDENT,
        )
        model = pair.student
    per_epoch = math.ceil(packed.train.count / (config.batch_size * config.accumulation))
    draws = _draws(config, source, context.seed, per_epoch)
    if _is_fresh(config, source):
        fresh_head.begin(model, packed.train, draws.masking.ordinary)
    heldout = HeldoutText(packed.heldout, draws, config.batch_size, config.precision)
    steps = config.steps or per_epoch * config.epochs
    words = PretrainingObjective(model, packed.train, draws)
    objective = words if pair is None else pair.objective(words, freeze_layers=config.freeze_layers)
    run = TrainingRun(
        label="pretrain",
        model=model,
        tokens=packed.train,
        objective=objective,
        settings=config.model_copy(update={"eval_steps": config.eval_steps or max(1, steps // EVALUATIONS)}),
        scratch=context.scratch,
        key=digest_value([documents.digest, source.digest]),
        companion=objective.companion,
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
        _train_head(replace(run, steps=head_steps, scratch=context.scratch / "head"), words)
    before = heldout.evaluate(model.to(prediction.accelerator().device))
    taught = {} if pair is None else pair.notes(heldout)
    state = loop.train(run)
    finetuning.save(model, context, tokenizer=source)
    return {**_notes(packed, state, before, head_steps), **taught}


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


def _is_fresh(config: PretrainConfig, source: Checkpoint) -> bool:
    """Tell whether the head for masked words knows nothing yet."""
    from edgeroberta.tasks import Problem

    knows = (
        source.task.problem is Problem.MASKED and source.has_head
    )  # the config may name one that is not there
    return config.initialization is Initialization.RANDOM or not knows


def _head_steps(config: PretrainConfig, source: Checkpoint, steps: int) -> int:
    """Tell for how many steps the head learns alone."""
    if config.head_steps is not None:
        return config.head_steps
    if config.initialization is Initialization.RANDOM or not _is_fresh(config, source):
        return 0
    return math.ceil(HEAD_SHARE * steps)


def _train_head(run: TrainingRun, words: PretrainingObjective) -> None:
    """Train what stands on the encoder, which stays as it is; ``words``: what it learns."""
    from edgeroberta.training import loop

    encoder = run.model.base_model
    learning = [each for each in encoder.parameters() if each.requires_grad]
    encoder.requires_grad_(False)
    settings = run.settings.model_copy(
        update={"learning_rate": HEAD_RATE, "eval_steps": run.steps, "freeze_layers": 0}
    )
    try:
        loop.train(
            replace(
                run,
                label="pretrain.head",
                settings=settings,
                objective=words,
                companion=words.companion,
                units=words.units,
            )
        )
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
