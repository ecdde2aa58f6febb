"""The ``finetune`` stage: a base encoder learns a task on labelled texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from edgeroberta.context import Context, RunOutline
from edgeroberta.data.rows import is_searched
from edgeroberta.errors import DataError
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind, digest_value
from edgeroberta.tasks import Problem, Unit, Word
from edgeroberta.training.hyperparameters import Hyperparameters, MaskingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgeroberta.training.prediction import ProcessBatch


class ScoreLoss(Word):
    """What embeddings of pairs learn of scores."""

    COSENT = "cosent"  #: their order: which pairs are more alike than others
    COSINE = "cosine"  #: their value: the cosine of a pair is its score, scaled to 0 … 1


class FinetuneConfig(Hyperparameters, MaskingSettings):
    """Training of a base model on the task; all other fields are those of every training stage."""

    score_loss: ScoreLoss = Field(
        ScoreLoss.COSENT,
        description="What embeddings learn of pairs with scores: cosent, the order of the scores, or cosine,"
        " the scores themselves. Of queries and passages they learn to tell the right passage from the others"
        " of the batch.",
    )


def _check(config: FinetuneConfig, outset: RunOutline) -> RunOutline:
    """Refuse to freeze all layers."""
    outset.require_all_tokens("finetune")
    if outset.shape is not None:
        config.require_learning(len(outset.shape.layers), "finetune")
    return outset


@stage(
    "finetune",
    config=FinetuneConfig,
    reads=(Kind.CHECKPOINT,),
    writes=Kind.CHECKPOINT,
    distributed=True,
    check=_check,
)
def finetune(config: FinetuneConfig, context: Context) -> Mapping[str, Any]:
    """Fine-tune the newest checkpoint on the training rows; keep the best on the validation rows."""
    from edgeroberta.roberta.heads import answers
    from edgeroberta.roberta.loading import load_classifier
    from edgeroberta.training import batching, finetuning, heads, losses, pair_losses
    from edgeroberta.training.run import TrainingJob

    rows, source, task = context.data.train, context.checkpoint, context.task
    if task.kind.unit is Unit.MASK:
        return _masked_words(config, context)
    if rows.labels is None:
        raise DataError("fine-tuning needs labels; these rows have none", where=rows.source)
    tokens = batching.tokenize(
        source,
        rows.read(),
        max_length=config.max_length,
        places=task.kind.unit.located,
        units=rows.units,
    )
    labels = heads.of(task).labels(rows, task, tokens)
    finetuning.tell_cut(labels.notes(), tokens.limit, finetuning.progress_of(context))
    trained = load_classifier(
        source,
        task,
        seed=context.seed,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
    )

    by_value = (
        config.score_loss is ScoreLoss.COSINE
        and task.problem is Problem.EMBEDDING
        and not is_searched(rows.labels)
    )

    def objective(model: nn.Module, batch: ProcessBatch) -> Mapping[str, Tensor]:
        logits = answers(trained, batch.ids, batch.mask, wrapped=model).float()
        true, known = labels.batch(batch.rows)
        logits, true = batch.by_row(logits), true.to(logits.device)
        value = pair_losses.value(logits, true) if by_value else losses.hard(logits, true, task.problem)
        return {"hard": losses.per_text(value, known.to(logits.device))}

    job = TrainingJob(
        label="finetune",
        model=trained,
        tokens=tokens,
        objective=objective,
        settings=config,
        scratch=context.scratch,
        key=digest_value([rows.digest, source.digest]),
        first_token=True,
    )
    return {**finetuning.run(job, context, tokenizer=source), **labels.notes()}


def _masked_words(config: FinetuneConfig, context: Context) -> Mapping[str, Any]:
    """Train on masked words of the training texts, as the model was pre-trained."""
    from edgeroberta.roberta.loading import load_classifier
    from edgeroberta.training import batching, finetuning
    from edgeroberta.training.masked_objective import MaskedWordObjective
    from edgeroberta.training.masked_tokens import TokenMasking
    from edgeroberta.training.run import TrainingJob

    rows, source = context.data.train, context.checkpoint
    tokens = batching.tokenize(source, rows.read(), max_length=config.max_length)
    masking = TokenMasking.of(
        source, share=config.mask_share, random=config.mask_random, kept=config.mask_kept
    )
    trained = load_classifier(
        source,
        context.task,
        seed=context.seed,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
    )
    job = TrainingJob(
        label="finetune",
        model=trained,
        tokens=tokens,
        objective=MaskedWordObjective(trained, tokens, masking, context.seed),
        settings=config,
        scratch=context.scratch,
        key=digest_value([rows.digest, source.digest]),
        fresh_ids=True,
    )
    return finetuning.run(job, context, tokenizer=source)
