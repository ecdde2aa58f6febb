"""What a student learns from its teacher: the losses of a batch, by their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgeroberta.roberta.probe import Probe
from edgeroberta.stages import Context
from edgeroberta.training import losses
from edgeroberta.training.teacher import TeacherOutputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.stages.distill import DistillConfig
    from edgeroberta.training.prediction import Batch


class DistillObjective:
    """The weighted losses of a student on a batch.

    Args:
        config: Weights of the losses and the temperature.
        context: Its task and the labels of its training rows.
        student: The model that learns, before it is wrapped for several processes.
        outputs: What the teacher said of the training rows, then of the unlabelled ones.
    """

    def __init__(
        self,
        config: DistillConfig,
        context: Context,
        student: PreTrainedModel,
        outputs: TeacherOutputs,
    ) -> None:
        self.config, self.weights = config, config.weights
        self.heads = config.relation_heads or student.config.num_attention_heads
        self.problem, self.outputs = context.task.problem, outputs
        depth = student.config.num_hidden_layers
        self.probe = Probe(
            student,
            layers=range(depth) if self.weights.hidden else (),
            attention=self.weights.attention > 0,
        )
        labels = context.data.train.labels
        self.labels = None if labels is None else torch.from_numpy(labels)

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Run the student on a batch.

        Args:
            model: The student, wrapped or not.
            batch: The batch.

        Returns:
            Each loss by name, float[B], times its weight.
        """
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits.float()
        targets = self.outputs.batch(batch.rows)
        device, result = logits.device, dict[str, torch.Tensor]()

        def put(values: Any) -> Tensor:
            return torch.from_numpy(values).to(device).float()

        with torch.autocast(device.type, enabled=False):
            if self.weights.logits:
                value = losses.soft(
                    logits, put(targets.logits), self.problem, temperature=self.config.temperature
                )
                result["logits"] = self.weights.logits * value
            if self.weights.hard:
                result["hard"] = self.weights.hard * self._hard(logits, batch)
            if targets.hidden is not None:
                pairs = zip(self.probe.hidden().float().unbind(2), put(targets.hidden).unbind(2), strict=True)
                each = [losses.hidden(ours, theirs, batch.mask) for ours, theirs in pairs]
                result["hidden"] = self.weights.hidden * torch.stack(each).mean(0)
            if targets.attention is not None:
                value = losses.relations(
                    self.probe.attention().float(), put(targets.attention), batch.mask, heads=self.heads
                )
                result["attention"] = self.weights.attention * value
        # every parameter gets a gradient, if only 0: data parallelism waits for all of them
        name = next(iter(result))
        result[name] = result[name] + 0.0 * logits.sum(1)
        return result

    def _hard(self, logits: Tensor, batch: Batch) -> Tensor:
        """Loss against the true labels; 0 for texts that have none (they come after the labelled)."""
        value = torch.zeros(len(logits), device=logits.device)
        if self.labels is None:
            return value
        rows = torch.from_numpy(batch.rows)
        known = rows < len(self.labels)
        if known.any():
            labels = self.labels[rows[known]].to(logits.device)
            value[known] = losses.hard(logits[known], labels, self.problem)
        return value
