"""What all training stages do around the loop: tokenize, evaluate on validation rows, save."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeroberta import metrics
from edgeroberta.context import Context
from edgeroberta.data.masking import FIRST_TOKENS
from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import save_classifier
from edgeroberta.tasks import Unit
from edgeroberta.training import batching, loop, prediction
from edgeroberta.training import checkpoints as training_state
from edgeroberta.training.run import TrainingJob, TrainingRun

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def run(job: TrainingJob, context: Context, *, tokenizer: Checkpoint) -> Mapping[str, Any]:
    """Train a model and write it to ``context.output``, with the tokenizer of another."""
    notes = train(job, context, tokenizer=tokenizer)
    save(job.model, context, tokenizer=tokenizer)
    return notes


def save(model: PreTrainedModel, context: Context, *, tokenizer: Checkpoint) -> None:
    """Write a trained model, and the tokenizer of another, to the output, once for all processes."""
    process = prediction.accelerator()
    if process.is_main_process:
        save_classifier(model.to("cpu"), context.output, tokenizer=tokenizer)
    process.wait_for_everyone()


def train(job: TrainingJob, context: Context, *, tokenizer: Checkpoint) -> Mapping[str, Any]:
    """Train a model in place; it ends with the weights that score best on the validation rows."""
    settings, process = job.settings, prediction.accelerator()
    settings.require_learning(job.model.config.num_hidden_layers, job.label)
    rows, task = context.data.validation, context.task
    labels = labels_of(rows)
    longest = settings.max_length
    if task.kind.unit is Unit.MASK:  # as far as words are masked
        longest = max(longest, FIRST_TOKENS)
    validation = batching.tokenize(
        tokenizer,
        rows.read(),
        max_length=longest,
        places=task.kind.unit.located,
        units=rows.units,
    )

    def evaluate(model: PreTrainedModel) -> Mapping[str, float]:
        outputs = prediction.predict(model, validation, precision=settings.precision)
        return {"score": metrics.score(task, outputs, labels)}

    progress = progress_of(context)
    state = loop.train(TrainingRun(**vars(job), evaluate=evaluate, seed=context.seed, progress=progress))
    return {
        "metric": task.metric,
        "steps": state.step,
        "texts": job.tokens.count,
        "precision": str(prediction.precision_of(settings.precision, process.device)).split(".")[1],
        "device": process.device.type,
        "processes": process.num_processes,
        **training_state.as_notes(state),
    }


def progress_of(context: Context) -> Progress:
    """Return where the main process of a launch reports progress; the others report none."""
    return context.progress if prediction.accelerator().is_main_process else Progress()


def tell_cut(notes: Mapping[str, int], limit: int | None, progress: Progress) -> None:
    """Say in a line how many words of the training rows lie where their texts are cut, if any do.

    ``notes``: those of labels, see :class:`edgeroberta.training.heads.Labels`. ``limit``: number of tokens at
    which texts were cut.
    """
    if cut := notes.get("words_cut", 0):
        progress.line(
            f"{cut:,} of {notes['words']:,} words of the training rows lie beyond {limit} tokens: their"
            " labels are not read (max_length)"
        )


def labels_of(rows: Rows) -> Any:
    """Return the labels of rows that a model is to be scored on."""
    if rows.labels is None:
        raise DataError("choosing the best checkpoint needs labels; these rows have none", where=rows.source)
    return rows.labels
