"""Task-agnostic distillation: a student learns from a larger model on unlabelled text, whatever its tasks.

Both read the same masked blocks. The student learns the masked words, what the teacher would say there
(DistilBERT, Sanh et al., arXiv:1910.01108), the hidden states of the layers that its own stand for
(arXiv:1908.09355), and the relations of the teacher's last layer (MiniLMv2, Wang et al., arXiv:2012.15828).
Texts are seen once or a few times, and with other masks each time: the teacher runs at every step, and
nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeroberta.roberta import loading
from edgeroberta.roberta.heads import masked_positions
from edgeroberta.roberta.observers import OutputRecorder, attention_width
from edgeroberta.tasks import Problem
from edgeroberta.training import gradient_batches, losses, prediction
from edgeroberta.training import student as students
from edgeroberta.training.pretraining import MASKED, HeldoutText, MaskedPass, PretrainingObjective

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.roberta.sensitivity import TextBatch
    from edgeroberta.tasks import Task
    from edgeroberta.training.agnostic_settings import AgnosticSettings
    from edgeroberta.training.blocks import Blocks
    from edgeroberta.training.prediction import ProcessBatch

#: Names of the losses that depend on the teacher.
LOGITS, HIDDEN, ATTENTION = "logits", "hidden", "attention"
#: Tokens of text that a narrower student is made by: two numbers per channel are fitted on them.
NARROWING_TOKENS = 8192
#: Name of the projection in what is trained along with a student.
_PROJECTION = "projection"


@dataclass(frozen=True, eq=False)
class AgnosticPair:
    """A student and its teacher."""

    settings: AgnosticSettings
    student: PreTrainedModel
    teacher: PreTrainedModel  # on the device of this process
    layers: tuple[int, ...]  # layers of the teacher that the student's stand for
    headed: bool  # whether the teacher guesses masked words
    projection: nn.Module | None  # maps the student's hidden states to the teacher's width, where they differ

    def objective(self, words: PretrainingObjective, *, freeze_layers: int = 0) -> AgnosticObjective:
        """Return what the student learns. ``words``: its losses without a teacher."""
        return AgnosticObjective(words, self, freeze_layers=freeze_layers)

    def notes(self, heldout: HeldoutText) -> dict[str, Any]:
        """Return what is worth keeping in the lineage; a teacher with a head guesses held-out words."""
        return {
            "layers": list(self.layers),
            "parameters_before": self.teacher.num_parameters(),
            "parameters": self.student.num_parameters(),
            "teacher": heldout.evaluate(self.teacher) if self.headed else None,
        }


def prepare(
    whole: PreTrainedModel,
    settings: AgnosticSettings,
    *,
    blocks: Blocks,
    source: Checkpoint,
    task: Task,
    seed: int,
    where: str,
) -> AgnosticPair:
    """Cut a student from a model, and load the model as its teacher.

    ``whole``: the model as it is trained, with a head for masked words, fresh where it had none. ``blocks``:
    text to learn from, by some of which a narrower student is made. ``source``: what the model was loaded
    from. ``where``: place of the settings, for errors. Raises RecipeError: there is no such student, or no
    such answers to learn.
    """
    headed = source.task.problem is Problem.MASKED and source.has_head
    settings.require_answers(headed=headed, where=where)

    def samples() -> Sequence[TextBatch]:
        count = max(1, NARROWING_TOKENS // blocks.longest)
        rows = np.random.default_rng(seed).permutation(len(blocks))[:count]
        return gradient_batches.of_blocks(blocks, np.sort(rows), task, source=source)

    made = students.cut(whole, settings, where=where, samples=samples)
    teacher = loading.load_classifier(source, task, seed=seed)
    teacher.to(prediction.accelerator().device).requires_grad_(False)
    projection = students.projection(made.model, teacher, guess=made.projection, seed=seed)
    return AgnosticPair(
        settings,
        made.model.train(),
        teacher,
        made.layers,
        headed,
        projection if settings.weights.hidden else None,
    )


class AgnosticObjective:
    """The weighted losses of a student, each a sum over masks or tokens.

    A step divides them by all its masks or tokens (:meth:`units`), as those of pre-training alone.
    """

    def __init__(self, words: PretrainingObjective, pair: AgnosticPair, *, freeze_layers: int) -> None:
        """``words``: the losses of pre-training. ``freeze_layers``: lowest layers, which do not learn."""
        self._words, self._pair = words, pair
        self.weights = pair.settings.weights.of(headed=pair.headed)
        hidden, attention = self.weights.hidden > 0, self.weights.attention > 0
        depth = len(pair.layers)
        self._ours = OutputRecorder(
            pair.student, layers=range(freeze_layers, depth) if hidden else (), attention=attention
        )
        self._theirs = OutputRecorder(
            pair.teacher, layers=pair.layers[freeze_layers:] if hidden else (), attention=attention
        )
        widths = attention_width(pair.student), attention_width(pair.teacher)
        self._heads = losses.relation_heads(pair.teacher.config.num_attention_heads, widths)
        self.companion = self._companion()

    def _companion(self) -> nn.Module | None:
        """Return what is trained along with the student."""
        if self._pair.projection is None:
            return self._words.companion
        found = nn.ModuleDict({_PROJECTION: self._pair.projection})
        if self._words.companion is not None:
            found["next_sentence"] = self._words.companion
        return found

    def units(self, parts: Sequence[ProcessBatch]) -> Mapping[str, float]:
        """Draw the masks of this process's part of a step; count these, and its tokens."""
        found = dict(self._words.units(parts))
        tokens = sum(float(part.mask.sum()) * part.weight for part in parts)
        return {**found, LOGITS: found[MASKED], HIDDEN: tokens, ATTENTION: tokens}

    def __call__(self, model: nn.Module, batch: ProcessBatch) -> Mapping[str, Tensor]:
        """Run the student, wrapped or not, and its teacher on a batch; returns the sum of each loss."""
        made = self._words.run(model, batch)
        found = self._words.losses(made, batch)
        masked = found.pop(MASKED)
        if self.weights.masked:
            found[MASKED] = self.weights.masked * masked
        answers = self._ask(made, batch)
        with torch.autocast(made.logits.device.type, enabled=False):
            if answers is not None:
                found[LOGITS] = self._answers(made, answers)
            found |= self._inside(batch)
        for recorder in (self._ours, self._theirs):
            recorder.values.clear()
        return found

    def close(self) -> None:
        """Stop reading the inside of both."""
        self._ours.close()
        self._theirs.close()

    def _ask(self, made: MaskedPass, batch: ProcessBatch) -> Tensor | None:
        """Run the teacher as far as there is something to learn; returns its logits, float[masks, V]."""
        weights, teacher, blocks = self.weights, self._pair.teacher, made.blocks
        with torch.no_grad():
            if weights.logits:
                return masked_positions.logits(teacher, blocks.ids, batch.mask, blocks.positions)
            if weights.hidden or weights.attention:
                teacher.base_model(input_ids=blocks.ids, attention_mask=batch.mask)
        return None

    def _answers(self, made: MaskedPass, answers: Tensor) -> Tensor:
        """Distance from the teacher's softmax over the vocabulary, a sum over masks."""
        value = losses.soft(
            made.logits.float(),
            answers.float(),
            Problem.SINGLE_LABEL,
            temperature=self._pair.settings.temperature,
        )
        # a batch without masks has no logits, and yet a gradient
        return (self.weights.logits or 0.0) * value.sum() + 0.0 * made.logits.sum()

    def _inside(self, batch: ProcessBatch) -> dict[str, Tensor]:
        """Losses on hidden states and relations, sums over tokens."""
        found, tokens = dict[str, Tensor](), batch.mask.sum(1)
        if self.weights.hidden:
            project, each = self._pair.projection or nn.Identity(), []
            for ours, theirs in zip(self._ours.layers(), self._theirs.layers(), strict=True):
                each.append(losses.hidden(project(ours.float()), theirs.float(), batch.mask))
            found[HIDDEN] = self.weights.hidden * torch.stack(each).mean(0) * tokens
        if self.weights.attention:
            value = losses.relations(
                self._ours.attention().float(),
                self._theirs.attention().float(),
                batch.mask,
                heads=self._heads,
            )
            found[ATTENTION] = self.weights.attention * value * tokens
        return found
