"""What a training run is given: a model, what it is to learn, what it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from edgeroberta.progress import Progress
from edgeroberta.training.batching import Tokens
from edgeroberta.training.hyperparameters import Hyperparameters
from edgeroberta.training.prediction import ProcessBatch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Objective(Protocol):
    """What a stage trains for."""

    def __call__(self, model: torch.nn.Module, batch: ProcessBatch) -> Mapping[str, Tensor]:
        """Run the model on a batch and return its losses by name, float[B] each, already weighted."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingJob:
    """A model and what it is to learn."""

    label: str  # name of the stage, for progress and errors
    model: PreTrainedModel  # what to train; its weights are changed in place
    tokens: Tokens  # the training texts
    objective: Objective  # what to train for
    settings: Hyperparameters
    scratch: Path  # folder for checkpoints of the run; survives a kill
    key: str = ""  # what else determines the run (labels, teacher); states of another run are not resumed
    #: what is trained along and is no part of the result: a projection of the objective
    companion: torch.nn.Module | None = None
    #: the objective reads of the last layer no more than the head does, which may be its first token alone
    first_token: bool = False
    #: the objective gives the model other token ids at every step, so that nothing that is computed of a text
    #: is of use for the next
    fresh_ids: bool = False
    #: what each loss of one process's part of a step is averaged over, by name, summed over processes and
    #: passes; None where that is texts. Called once a step, before the objective
    units: Callable[[Sequence[ProcessBatch]], Mapping[str, float]] | None = None
    steps: int | None = None  # optimizer steps; None where the epochs decide
    beta2: float = 0.999  # how slowly AdamW's mean of squared gradients follows them


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRun(TrainingJob):
    """One training run: a job, what it is judged by, and where it reports."""

    #: what the model as it stands is worth: ``score``, higher is better, and what else is to be told of it;
    #: called on all processes
    evaluate: Callable[[PreTrainedModel], Mapping[str, float]]
    seed: int  # seed of batches and dropout
    progress: Progress  # where to report progress
