"""What all training stages do around the loop: tokenize, evaluate on validation rows, save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from edgeroberta import metrics, training
from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import save_classifier
from edgeroberta.stages import Context
from edgeroberta.training import batching, prediction
from edgeroberta.training import checkpoints as training_state
from edgeroberta.training.batching import Tokens
from edgeroberta.training.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A model and what it is to learn."""

    label: str  # name of the stage
    model: PreTrainedModel
    tokenizer: Checkpoint  # the model whose tokenizer the result keeps
    settings: Hyperparameters
    objective: training.Objective
    tokens: Tokens  # the training texts
    key: str  # digest of all else that determines the run: labels, weights, teacher
    companion: nn.Module | None = None  # what is trained along and is no part of the result
    scratch: Path | None = None  # folder for the run's checkpoints; by default the stage's
    first_token: bool = False  # the objective reads of the last layer its first token alone


def run(fit: TrainingJob, context: Context) -> Mapping[str, Any]:
    """Train a model and write it to ``context.output``."""
    notes = train(fit, context)
    save(fit.model, context, tokenizer=fit.tokenizer)
    return notes


def save(model: PreTrainedModel, context: Context, *, tokenizer: Checkpoint) -> None:
    """Write a trained model, and the tokenizer of another, to the output, once for all processes."""
    process = prediction.accelerator()
    if process.is_main_process:
        save_classifier(model.to("cpu"), context.output, tokenizer=tokenizer)
    process.wait_for_everyone()


def train(fit: TrainingJob, context: Context) -> Mapping[str, Any]:
    """Train a model in place; it ends with the weights that score best on the validation rows."""
    fit.settings.require_learning(fit.model.config.num_hidden_layers, fit.label)
    process = prediction.accelerator()
    rows, task = context.data.validation, context.task
    labels = labels_of(rows)
    validation = batching.tokenize(fit.tokenizer, rows.inputs(), max_length=fit.settings.max_length)

    def evaluate(model: PreTrainedModel) -> float:
        logits = prediction.predict(model, validation, precision=fit.settings.precision)
        return metrics.score(task, logits, labels)

    state = training.train(
        training.TrainingRun(
            label=fit.label,
            model=fit.model,
            tokens=fit.tokens,
            objective=fit.objective,
            evaluate=evaluate,
            settings=fit.settings,
            scratch=fit.scratch or context.scratch,
            seed=context.seed,
            progress=context.progress if process.is_main_process else Progress(),
            key=fit.key,
            companion=fit.companion,
            first_token=fit.first_token,
        )
    )
    return {
        "metric": task.metric,
        "steps": state.step,
        "texts": len(fit.tokens),
        "precision": str(prediction.precision_of(fit.settings.precision, process.device)).split(".")[1],
        "device": process.device.type,
        "processes": process.num_processes,
        **training_state.as_notes(state),
    }


def labels_of(rows: Rows) -> npt.NDArray[Any]:
    """Return the labels of rows that a model is to be scored on."""
    if rows.labels is None:
        raise DataError("choosing the best checkpoint needs labels; these rows have none", where=rows.source)
    return rows.labels
