"""What a latency table is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeroberta.data.rows import DataSpec
from edgeroberta.measure.protocol import Inputs
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.shape import EncoderShape

#: Texts whose lengths are counted: as many as tell a bundle which lengths to prepare.
MOST_TEXTS = 2000


@dataclass(frozen=True)
class LatencyRequest:
    """What to measure."""

    shape: EncoderShape  # the baseline
    activation: str  # its activation, as :class:`~edgeroberta.roberta.config.EncoderConfig` has it
    tokenizer: Checkpoint  # the model that it reads texts as
    target: str  # class of devices the bundle is for
    inputs: Inputs = ()  # the user's texts; empty to cover all lengths
    engine: str | None = None  # engine; None for the first of the target's that is installed
    threads: int | None = None  # threads for one call; None for those of the target
    rounds: int = 5  # turns for each probe


def sample_texts(inputs: Inputs) -> Inputs:
    """Return at most :data:`MOST_TEXTS` of a user's texts, from all over them."""
    return inputs[:: max(-(-len(inputs) // MOST_TEXTS), 1)]


def request_for(
    model: Path,
    data: DataSpec | None,
    *,
    target: str,
    engine: str | None = None,
    threads: int | None = None,
    rounds: int = 5,
) -> LatencyRequest:
    """Ask for the table of a model folder and the training texts of some data.

    ``data``: where the rows are; None to cover all lengths.
    """
    found = Checkpoint(model)
    config = found.config
    inputs: Inputs = ()
    if data is not None:
        from edgeroberta.data import MaskReader, load_splits

        masks = MaskReader.of(found.task, found.folder, found.max_length)
        inputs = sample_texts(load_splits(data, task=found.task, masks=masks).train.read())
    return LatencyRequest(config.shape, config.activation, found, target, inputs, engine, threads, rounds)
