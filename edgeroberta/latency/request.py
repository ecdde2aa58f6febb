"""What a latency table is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeroberta.data.rows import DataSpec
from edgeroberta.measure.protocol import Inputs
from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.roberta.shape import EncoderShape

#: Texts whose lengths are counted: as many as tell a bundle which lengths to prepare.
MOST_TEXTS = 2000


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        shape: The full-size model.
        activation: Its activation, as :class:`~edgeroberta.roberta.config.EncoderConfig` has it.
        tokenizer: Folder with its tokenizer.
        target: Class of devices the bundle is for.
        inputs: The user's texts; empty to cover all lengths.
        engine: Engine; None for the first of the target's that is installed.
        threads: Threads for one call; None for those of the target.
        rounds: Turns for each probe.
    """

    shape: EncoderShape
    activation: str
    tokenizer: Path
    target: str
    inputs: Inputs = ()
    engine: str | None = None
    threads: int | None = None
    rounds: int = 5


def some(inputs: Inputs) -> Inputs:
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
) -> Request:
    """Ask for the table of a model folder and the training texts of some data.

    Args:
        model: Model folder with a classification head.
        data: Where the rows are; None to cover all lengths.
        target: Class of devices.
        engine: See :class:`Request`.
        threads: See :class:`Request`.
        rounds: See :class:`Request`.

    Raises:
        CheckpointError: It is not a model folder of the family.
        DataError: The data cannot be read.
    """
    config = EncoderConfig.from_dir(model)
    inputs: Inputs = ()
    if data is not None:
        from edgeroberta.data import load_splits
        from edgeroberta.roberta import checkpoint

        inputs = some(load_splits(data, task=checkpoint.task_of(model)).train.inputs())
    return Request(config.shape, config.activation, model, target, inputs, engine, threads, rounds)
