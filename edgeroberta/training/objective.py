"""What a student learns from its teacher: the losses of a batch, by their weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeroberta.roberta import heads
from edgeroberta.roberta.observers import OutputRecorder
from edgeroberta.tasks import Problem
from edgeroberta.training import losses
from edgeroberta.training.batching import Indices
from edgeroberta.training.heads import Labels, Matches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.training.distill_settings import DistillSettings
    from edgeroberta.training.prediction import ProcessBatch
    from edgeroberta.training.shards import BatchOutputs


class TeacherOutputs(Protocol):
    """Where the teacher's outputs come from."""

    def batch(self, rows: Indices) -> BatchOutputs:
        """Return the outputs of the texts at ``rows``, padded to the longest of them."""


@dataclass(frozen=True, eq=False)
class DistillationTargets:
    """What there is to learn from."""

    outputs: TeacherOutputs  # what the teacher said of each text
    labels: Labels  # the true labels
    problem: Problem  # kind of task
    matches: Matches  # which of the teacher's answers there are for the student's
    heads: int = 1  # relation heads; they divide the width of both models' queries
    #: bool[texts], those of which teacher and student see the same tokens; None when they do of all. Hidden
    #: states and relations of other texts do not count.
    aligned: npt.NDArray[np.bool_] | None = None


class DistillObjective:
    """The weighted losses of a student; ``projection`` maps its states to the teacher's width."""

    def __init__(
        self,
        settings: DistillSettings,
        student: PreTrainedModel,
        distillation_targets: DistillationTargets,
        projection: nn.Module | None = None,
    ) -> None:
        self.weights, self.temperature = settings.weights, settings.temperature
        self.distillation_targets, self.projection = distillation_targets, projection
        self._student = student
        depth = student.config.num_hidden_layers
        self.probe = OutputRecorder(
            student,
            layers=range(settings.freeze_layers, depth) if self.weights.hidden else (),
            attention=self.weights.attention > 0,
        )

    def __call__(self, model: nn.Module, batch: ProcessBatch) -> Mapping[str, Tensor]:
        """Run the student, wrapped or not, on a batch; returns each weighted loss by name, float[B]."""
        logits = heads.logits(self._student, batch.ids, batch.mask, wrapped=model).float()
        asked = self.distillation_targets.matches.asked(batch.texts)
        targets = self.distillation_targets.outputs.batch(asked)
        with torch.autocast(logits.device.type, enabled=False):
            result = self._on_logits(logits, targets, batch) | self._on_tokens(targets, batch)
        # every parameter gets a gradient, if only 0: data parallelism waits for all of them
        name = next(iter(result))
        result[name] = result[name] + 0.0 * logits.sum()
        return result

    def close(self) -> None:
        """Stop reading the student's inside."""
        self.probe.close()

    def _on_logits(self, logits: Tensor, targets: BatchOutputs, batch: ProcessBatch) -> dict[str, Tensor]:
        """Losses on the answers: of each text, float[B, L], of each token, float[B, S, L], or of masks."""
        problem, result = self.distillation_targets.problem, dict[str, Tensor]()
        if self.weights.logits:
            theirs = torch.from_numpy(targets.logits).to(logits.device).float()
            theirs, counts = self.distillation_targets.matches.batch(batch.texts, theirs)
            value = losses.soft(logits, theirs, problem, temperature=self.temperature)
            result["logits"] = self.weights.logits * batch.per_row(losses.per_text(value, counts))
        if self.weights.hard:
            labels, known = self.distillation_targets.labels.batch(batch.rows)
            value = losses.hard(batch.by_row(logits), labels.to(logits.device), problem)
            result["hard"] = self.weights.hard * losses.per_text(value, known.to(logits.device))
        return result

    def _on_tokens(self, targets: BatchOutputs, batch: ProcessBatch) -> dict[str, Tensor]:
        """Losses on the inside, token by token."""
        result, shared = dict[str, Tensor](), self._shared(batch)
        length = batch.ids.shape[1]

        def put(values: npt.NDArray[np.float16]) -> Tensor:
            return _fit(torch.from_numpy(values).to(batch.ids.device).float(), length)

        if targets.hidden is not None:
            each = []
            for ours, theirs in zip(self.probe.layers(), put(targets.hidden).unbind(2), strict=True):
                mine = ours.float() if self.projection is None else self.projection(ours.float())
                seen = mine.shape[1]  # the first token alone of a last layer that computes no other
                each.append(losses.hidden(mine, theirs[:, :seen], shared[:, :seen]))
            result["hidden"] = self.weights.hidden * batch.per_row(torch.stack(each).mean(0))
        if targets.attention is not None:
            value = losses.relations(
                self.probe.attention().float(),
                put(targets.attention),
                shared,
                heads=self.distillation_targets.heads,
            )
            result["attention"] = self.weights.attention * batch.per_row(value)
        return result

    def _shared(self, batch: ProcessBatch) -> Tensor:
        """Return where there is a token that both models see, bool[B, S]."""
        if self.distillation_targets.aligned is None:
            return batch.mask.bool()
        same = torch.from_numpy(self.distillation_targets.aligned[batch.texts]).to(batch.mask.device)
        return batch.mask.bool() & same[:, None]


def _fit(states: Tensor, length: int) -> Tensor:
    """Cut or pad float[B, S', ...] to S tokens; texts of another length are not aligned and do not count."""
    states = states[:, :length]
    missing = length - states.shape[1]
    return functional.pad(states, (0, 0) * (states.ndim - 2) + (0, missing)) if missing else states
