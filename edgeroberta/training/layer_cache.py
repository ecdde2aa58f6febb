"""The layers of a run that do not learn: run once, with what they give kept on disk over the epochs.

A frozen layer has no dropout, so what it gives for a text never changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from edgeroberta.roberta import frozen_layers
from edgeroberta.training import prediction, teacher
from edgeroberta.training.batching import Indices
from edgeroberta.training.run import TrainingRun
from edgeroberta.training.shards import ShardedOutputs
from edgeroberta.training.teacher import WantedOutputs


@dataclass
class TextPosition:
    """Which training texts the model is asked about; None for other texts, as in an evaluation."""

    rows: Indices | None = None


@contextlib.contextmanager
def freeze_layers(run: TrainingRun) -> Iterator[TextPosition]:
    """Take out of a run's model, while it trains, all that its loss does not need computed.

    Frozen layers run once over the training texts, or at every step where the texts are seen once only, are
    masked anew, or the disk space that they may take is too small. Where no more is read of the last layer
    than its first token, it computes no other. ``run``: the run; its model is whole again afterwards.
    """
    place, count = TextPosition(), run.settings.freeze_layers
    run.model.to(prediction.accelerator().device)
    with contextlib.ExitStack() as stack:
        if run.first_token:
            stack.enter_context(frozen_layers.first_token_only(run.model))
        if count:
            kept = _kept(run, count)
            lower = stack.enter_context(frozen_layers.FrozenLayers(run.model, count))

            def states(ids: Tensor, mask: Tensor) -> Tensor:
                if kept is None or place.rows is None:
                    return lower.run(ids, mask)
                return torch.from_numpy(kept.hidden(place.rows)[:, :, 0]).to(ids.device)

            lower.source = states
        yield place


def _kept(run: TrainingRun, count: int) -> ShardedOutputs | None:
    """Run the frozen layers over all training texts, or find what they gave; None where that is not kept."""
    settings, tokens = run.settings, run.tokens
    size = int(tokens.offsets[-1]) * run.model.config.hidden_size * 4
    if run.fresh_ids or settings.epochs == 1 or size > settings.frozen_gb * 1e9:
        return None
    wanted = WantedOutputs(
        logits=None,
        layers=(count - 1,),
        precision=settings.precision,
        kept_as="float32",
        what="frozen layers' outputs",
        otherwise=f"--set {run.label}.frozen_gb=0 computes them at every step",
    )
    with frozen_layers.cut_above(run.model, count):
        return teacher.compute(
            run.model,
            tokens,
            folder=run.scratch / "frozen",
            wanted=wanted,
            key=run.key,
            progress=run.progress,
        )
