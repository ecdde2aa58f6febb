"""What the teacher says of every text, computed once, kept on disk and reused across epochs.

The texts are cut into shards, each a folder that is renamed into place when it is whole: a killed run
goes on with the next shard. Per-token outputs are packed without padding and read through memory
maps, so memory does not grow with the number of texts.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from edgeroberta.artifact import digest_value, flush_tree, write_json
from edgeroberta.progress import Progress
from edgeroberta.roberta.probe import Probe
from edgeroberta.training import batching, prediction
from edgeroberta.training.batching import Indices, Tokens
from edgeroberta.training.hyperparameters import Precision

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
#: Texts per shard: some seconds of work for a small model, some minutes for a large one.
SHARD = 2048
_PLAN = "plan.json"
_LOGITS, _HIDDEN, _ATTENTION = "logits.npy", "hidden.npy", "attention.npy"


@dataclass(frozen=True)
class Wanted:
    """Which outputs to keep besides the logits, and how to compute them.

    Attributes:
        layers: Teacher layers whose hidden states are kept.
        attention: Keep queries, keys and values of the last layer.
        precision: Number format of the matrix products.
    """

    layers: tuple[int, ...] = ()
    attention: bool = False
    precision: Precision = Precision.AUTO


@dataclass(frozen=True, eq=False)
class Targets:
    """The teacher's outputs for one batch.

    Attributes:
        logits: float32[B, L].
        hidden: float16[B, S, k, H], zero where there is no token; None when not kept.
        attention: float16[B, S, 3, H], likewise.
    """

    logits: npt.NDArray[np.float32]
    hidden: npt.NDArray[np.float16] | None
    attention: npt.NDArray[np.float16] | None


class TeacherOutputs:
    """Finished outputs, read batch by batch.

    Args:
        folder: The folder that :func:`compute` filled.
        tokens: The texts they belong to, in the same order.
    """

    def __init__(self, folder: Path, tokens: Tokens) -> None:
        self._tokens = tokens
        self._shards = [_open(path) for path in _shard_paths(folder, len(tokens))]

    def batch(self, rows: Indices) -> Targets:
        """Return the outputs of the texts at ``rows``, padded as :meth:`Tokens.batch` pads."""
        logits = np.stack([self._shards[row // SHARD][_LOGITS][row % SHARD] for row in rows])
        return Targets(logits, self._padded(_HIDDEN, rows), self._padded(_ATTENTION, rows))

    def logits(self) -> npt.NDArray[np.float32]:
        """Return the logits of all texts, float32[n, L]."""
        return np.concatenate([np.asarray(shard[_LOGITS]) for shard in self._shards])

    def _padded(self, name: str, rows: Indices) -> npt.NDArray[np.float16] | None:
        if name not in self._shards[0]:
            return None
        offsets, lengths = self._tokens.offsets, self._tokens.lengths[rows]
        tail = self._shards[0][name].shape[1:]
        result = np.zeros((len(rows), int(lengths.max()), *tail), np.float16)
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            number = row // SHARD
            start = offsets[row] - offsets[number * SHARD]
            result[place, :length] = self._shards[number][name][start : start + length]
        return result


def compute(
    model: PreTrainedModel, tokens: Tokens, *, folder: Path, wanted: Wanted, key: str, progress: Progress
) -> TeacherOutputs:
    """Run the teacher over all texts, shard by shard, leaving out shards that are already there.

    Under ``accelerate launch`` the shards are dealt out to the processes.

    Args:
        model: The teacher.
        tokens: The texts.
        folder: Where to keep the outputs; survives a kill.
        wanted: Which outputs to keep, and how to compute them.
        key: Digest of the teacher; outputs of another one are thrown away.
        progress: Where to report progress.

    Returns:
        The outputs.
    """
    process = prediction.accelerator()
    outputs = [list(wanted.layers), wanted.attention, str(wanted.precision)]
    identity = digest_value([key, tokens.digest, outputs, SHARD])
    if process.is_main_process:
        _prepare(folder, {"schema_version": SCHEMA_VERSION, "outputs_of": identity})
    process.wait_for_everyone()
    paths = _shard_paths(folder, len(tokens))
    model.to(process.device).eval()
    with (
        Probe(model, layers=wanted.layers, attention=wanted.attention) as probe,
        progress.bar("teacher outputs", len(tokens), "texts") as advance,
    ):
        done = [number for number, path in enumerate(paths) if path.is_dir()]
        advance(sum(_shard_rows(number, len(tokens)) for number in done))
        missing = [number for number in range(len(paths)) if number not in done]
        for number in missing[process.process_index :: process.num_processes]:
            _write_shard(paths[number], _run(model, tokens, number, probe, wanted))
            advance(_shard_rows(number, len(tokens)))
    process.wait_for_everyone()
    return TeacherOutputs(folder, tokens)


def _prepare(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder ready for the outputs of ``plan``, emptying it when it holds others'."""
    file = folder / _PLAN
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != plan and folder.exists():
        logger.info("%s holds no outputs of this teacher and these texts; starting anew", folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    write_json(file, plan)


def _shard_paths(folder: Path, total: int) -> list[Path]:
    return [folder / f"shard-{number:06d}" for number in range(-(-total // SHARD))]


def _shard_rows(number: int, total: int) -> int:
    return min(SHARD, total - number * SHARD)


def _open(path: Path) -> dict[str, npt.NDArray[Any]]:
    names = (name for name in (_LOGITS, _HIDDEN, _ATTENTION) if (path / name).is_file())
    return {name: np.load(path / name, mmap_mode="r", allow_pickle=False) for name in names}


def _run(
    model: PreTrainedModel, tokens: Tokens, number: int, probe: Probe, wanted: Wanted
) -> dict[str, npt.NDArray[Any]]:
    """Compute one shard's arrays."""
    first = number * SHARD
    stop = first + _shard_rows(number, len(tokens))
    width, total = model.config.hidden_size, int(tokens.offsets[stop] - tokens.offsets[first])
    arrays: dict[str, npt.NDArray[Any]] = {
        _LOGITS: np.empty((stop - first, model.config.num_labels), np.float32)
    }
    if wanted.layers:
        arrays[_HIDDEN] = np.empty((total, len(wanted.layers), width), np.float16)
    if wanted.attention:
        arrays[_ATTENTION] = np.empty((total, 3, width), np.float16)
    dtype = prediction.precision_of(wanted.precision, model.device)
    lengths = tokens.lengths[first:stop]
    with torch.inference_mode(), prediction.computing(dtype, model.device):
        for places in batching.by_length(lengths, batch_size=prediction.EVALUATION_BATCH):
            batch = prediction.to_device(tokens, first + places, model.device)
            logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits
            arrays[_LOGITS][places] = logits.float().cpu().numpy()
            starts = tokens.offsets[first + places] - tokens.offsets[first]
            if wanted.layers:
                _unpad(arrays[_HIDDEN], probe.hidden(), starts, lengths[places])
            if wanted.attention:
                _unpad(arrays[_ATTENTION], probe.attention(), starts, lengths[places])
    return arrays


def _unpad(
    target: npt.NDArray[np.float16], states: torch.Tensor, starts: Indices, lengths: Sequence[int] | Indices
) -> None:
    values = states.to(torch.float16).cpu().numpy()
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        target[start : start + length] = values[row, :length]


def _write_shard(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    partial = path.with_name(f".partial-{path.name}-{os.getpid()}")
    partial.mkdir()
    for name, array in arrays.items():
        np.save(partial / name, array, allow_pickle=False)
    flush_tree(partial)
    partial.replace(path)
