"""Learning masked words, as encoders are pre-trained: other tokens are masked at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from edgeroberta.roberta.heads import masked_positions
from edgeroberta.tasks import Problem
from edgeroberta.training import losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.training.batching import Tokens
    from edgeroberta.training.masked_tokens import TokenMasking
    from edgeroberta.training.prediction import ProcessBatch


class MaskedWordObjective:
    """Cross entropy of masked tokens (Devlin et al., arXiv:1810.04805), masked anew at every step.

    A text's loss is the sum over its masks, in units of the masks that a text has on average: a mask of a
    short text weighs as much as one of a long text.
    """

    def __init__(self, model: PreTrainedModel, tokens: Tokens, masking: TokenMasking, seed: int) -> None:
        self._model, self._masking, self._seed = model, masking, seed
        self._masks = masking.expected(tokens.lengths)

    def __call__(self, model: nn.Module, batch: ProcessBatch) -> Mapping[str, Tensor]:
        """Run the model, wrapped or not, on a batch; returns the loss of each text, float[B]."""
        ids, positions, true = self._masking.batch(
            batch.ids, batch.mask, batch.rows, seed=self._seed, step=batch.step
        )
        logits = masked_positions.logits(self._model, ids, batch.mask, positions, wrapped=model).float()
        value = losses.hard(logits, true, Problem.MASKED)
        each = value.new_zeros(positions.shape).masked_scatter(positions, value).sum(1)
        # every parameter gets a gradient, if only 0: data parallelism waits for all of them
        return {"masked": each / self._masks + 0.0 * logits.sum()}
