"""The training loop of every stage that trains: on Accelerate, resumable at any step, deterministic.

Each step's batch and dropout are functions of the seed and the step's number, so a run that was
killed and started again ends with the same weights as one that was not (bit for bit on a CPU).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from edgeroberta.progress import Progress
from edgeroberta.training import layer_cache
from edgeroberta.training.batching import Tokens
from edgeroberta.training.checkpoints import TrainingState
from edgeroberta.training.hyperparameters import Hyperparameters
from edgeroberta.training.loop import Loop
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
    first_token: bool = False  # the objective reads of the last layer its first token alone


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRun(TrainingJob):
    """One training run: a job, what it is judged by, and where it reports."""

    #: task metric of the model as it stands, higher is better; called on all processes
    evaluate: Callable[[PreTrainedModel], float]
    seed: int  # seed of batches and dropout
    progress: Progress  # where to report progress


def train(run: TrainingRun) -> TrainingState:
    """Train a model, going on from the last checkpoint of the same run where there is one.

    Under ``accelerate launch`` all processes call this with the same run; a step's texts are divided among
    them, and only the main process writes. ``run``: the run; ``run.model`` ends with the weights of the best
    evaluation. Raises EdgeRobertaError: the loss is no longer a finite number.
    """
    with layer_cache.freeze_layers(run) as place:
        loop = Loop(run, place)
        with run.progress.bar(run.label, loop.total, "steps", done=loop.state.step) as advance:
            while not loop.done:
                note = loop.step()
                advance(1, note)
        loop.load(loop.state.best_weights)
    run.model.eval()
    return loop.state
