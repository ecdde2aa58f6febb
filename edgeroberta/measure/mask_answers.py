"""Measuring models that fill masks: what true tokens they are asked about, and PyTorch's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.measure import torch_windows
from edgeroberta.measure.protocol import Inputs
from edgeroberta.runtime import filling
from edgeroberta.runtime.encoding import Encoding, merge_windows
from edgeroberta.tasks import MaskedTokens, Outputs, Task, masked

if TYPE_CHECKING:
    from edgeroberta.runtime import Runtime
    from edgeroberta.runtime.token_numbers import TokenNumbers

Targets = Sequence[Sequence[int]]


def targets_of(labels: Any) -> list[list[int]] | None:
    """Return the true tokens of each row's masks, of rows of masked words; None for others."""
    if not isinstance(labels, MaskedTokens):
        return None
    return [labels.part(row)[0].tolist() for row in range(len(labels))]


def of_runtime(
    runtime: Runtime, inputs: Inputs, targets: Targets | None, numbers: TokenNumbers | None
) -> Outputs:
    """Ask a runtime for masks; a text whose masks are cut off gives none, and is not refused.

    ``targets``: true tokens by their original ids, which are left out where the engine tells the best tokens
    alone. ``numbers``: the original ids of the model's tokens, where its vocabulary was cut.
    """
    encodings = runtime.tokenizer.encode(list(inputs), places=True)
    if targets is None or not filling.gives_all(runtime.session):
        found = runtime.run(encodings)
        return found if numbers is None else replace(found, values=numbers.original(found.values))
    asked = [np.asarray(each, np.int64) for each in targets]
    own = asked if numbers is None else [numbers.own(each) for each in asked]
    found = runtime.run(encodings, own)
    if numbers is None:
        return found
    seen = [each[:count] for each, count in zip(asked, found.lengths.tolist(), strict=True)]
    return replace(found, values=numbers.original(found.values, np.concatenate(seen)))


class TorchMasks:
    """What a model of transformers says of masks, batch by batch.

    ``numbers``: the original ids of its tokens, where its vocabulary was cut; answers and targets have these.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        task: Task,
        max_length: int,
        overlap: int | None,
        numbers: TokenNumbers | None = None,
    ) -> None:
        self._model, self._tokenizer, self._task = model, tokenizer, task
        self._max_length, self._overlap, self._numbers = max_length, overlap, numbers

    def encode(self, inputs: Inputs) -> list[Encoding]:
        """Tokenize texts, long ones in windows, or cut."""
        found = torch_windows.encode(
            self._tokenizer, inputs, self._max_length, self._overlap or 0, places=True
        )
        return found if self._overlap is not None else [replace(each, rest=()) for each in found]

    def flat_targets(self, encodings: list[Encoding], targets: Targets | None) -> list[Any] | None:
        """Return the tokens asked for at the masks of each window; None where none are."""
        if targets is None:
            return None
        asked = [np.asarray(each, np.int64) for each in targets]
        return filling.targets_of_windows(self._task, encodings, asked)

    def run(self, ids: Any, mask: Any, wanted: Any) -> list[np.ndarray]:
        """Return packed answers of each text of a batch, float32 [masks, …].

        ``ids``, ``mask``: int64 [B, S], in torch. ``wanted``: int64 [masks] of all texts, or None.
        """
        import torch

        from edgeroberta.roberta import heads

        scores = torch.log_softmax(heads.logits(self._model, ids, mask).float(), dim=-1).cpu().numpy()
        counts = (ids == self._task.mask_id).sum(1).cpu().numpy()
        numbers = self._numbers
        own = wanted if numbers is None or wanted is None else numbers.own(wanted)
        packed = masked.pack(scores, self._task.num_outputs // 2, own)
        if numbers is not None:
            packed = numbers.original(packed, wanted)
        return np.split(packed, np.cumsum(counts)[:-1])

    def merged(self, parts: Sequence[np.ndarray], encodings: list[Encoding]) -> Outputs:
        """Make outputs of texts of what their windows gave."""
        return merge_windows(self._task, Outputs.pack(list(parts)), encodings)
