"""What the teacher says of every text, computed once, kept on disk and reused across epochs.

The texts are cut into shards, each a folder that is renamed into place when it is whole: a killed run
goes on with the next shard. Per-token outputs are packed without padding, and a batch reads its own
from disk, so neither memory nor open files grow with the number of texts.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from edgeroberta import jsontext
from edgeroberta.artifact import digest_value, flush_tree, write_json
from edgeroberta.progress import Progress
from edgeroberta.roberta.probe import Probe, attention_width
from edgeroberta.training import batching, prediction, room
from edgeroberta.training.batching import Indices, Tokens
from edgeroberta.training.entries import Entries, Layout
from edgeroberta.training.hyperparameters import Precision

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
#: Texts per shard: some seconds of work for a small model, some minutes for a large one.
SHARD = 2048
#: Batches are padded to multiples of so many tokens, since on a CPU something is kept for each length
#: that was met; most likely it is oneDNN's cache of matrix products. With a model of two layers of 32,
#: 114 lengths took 216 MB by the end of 100,000 texts; 15 lengths took 27 MB in the first 2,048 texts,
#: and no more by 8,192.
LENGTH_STEP = 8
_PLAN = "plan.json"
_PARTIAL, _CLAIM = ".partial-{}-{}", ".claim-{}"
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
        attention: float16[B, S, 3, width of the teacher's last attention], likewise.
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
        self._paths = _shard_paths(folder, len(tokens))
        files = {name: self._paths[0] / name for name in (_LOGITS, _HIDDEN, _ATTENTION)}
        self._layouts = {name: Layout.of(file) for name, file in files.items() if file.is_file()}

    def batch(self, rows: Indices) -> Targets:
        """Return the outputs of the texts at ``rows``, padded as :meth:`Tokens.batch` pads."""
        logits = self._read(_LOGITS, rows, None)[:, 0]
        return Targets(logits, self._padded(_HIDDEN, rows), self._padded(_ATTENTION, rows))

    def logits(self) -> npt.NDArray[np.float32]:
        """Return the logits of all texts, float32[n, L]."""
        layout, total = self._layouts[_LOGITS], len(self._tokens)
        result = np.empty((total, *layout.tail), np.float32)
        for number, path in enumerate(self._paths):
            first = number * SHARD
            stop = first + _shard_rows(number, total)
            result[first:stop] = np.load(path / _LOGITS, allow_pickle=False)
        return result

    def _padded(self, name: str, rows: Indices) -> npt.NDArray[np.float16] | None:
        return self._read(name, rows, self._tokens.offsets) if name in self._layouts else None

    def _read(self, name: str, rows: Indices, offsets: Indices | None) -> npt.NDArray[Any]:
        """Read one kind of output.

        ``offsets`` says at which entry each text starts; None where each text has one entry.
        """

        def start(row: Any) -> Any:
            return row if offsets is None else offsets[row]

        layout = self._layouts[name]
        lengths, shards = start(rows + 1) - start(rows), rows // SHARD
        result = np.zeros((len(rows), int(lengths.max()), *layout.tail), layout.dtype)
        for number in np.unique(shards).tolist():
            first = number * SHARD
            count = start(first + _shard_rows(number, len(self._tokens))) - start(first)
            with Entries(self._paths[number] / name, layout, int(count)) as entries:
                for place in np.flatnonzero(shards == number):
                    entries.read(int(start(rows[place]) - start(first)), result[place, : lengths[place]])
        return result


def compute(
    model: PreTrainedModel, tokens: Tokens, *, folder: Path, wanted: Wanted, key: str, progress: Progress
) -> TeacherOutputs:
    """Run the teacher over all texts, shard by shard, leaving out shards that are already there.

    Under ``accelerate launch`` each process takes the next shard that none has taken, so that a slow
    one does not hold up the others.

    Args:
        model: The teacher.
        tokens: The texts.
        folder: Where to keep the outputs; survives a kill.
        wanted: Which outputs to keep, and how to compute them.
        key: Digest of the teacher; outputs of another one are thrown away.
        progress: Where to report progress, of all processes together.

    Returns:
        The outputs.

    Raises:
        EdgeRobertaError: The disk has not enough room for them.
    """
    process = prediction.accelerator()
    outputs = [list(wanted.layers), wanted.attention, str(wanted.precision)]
    identity = digest_value([key, tokens.digest, outputs, SHARD])
    paths, total = _shard_paths(folder, len(tokens)), len(tokens)
    if process.is_main_process:
        _prepare(folder, {"schema_version": SCHEMA_VERSION, "outputs_of": identity})
        _require_room(folder, model, tokens, wanted)
    process.wait_for_everyone()
    model.to(process.device).eval()
    left = {number for number, path in enumerate(paths) if not path.is_dir()}
    there = total - sum(_shard_rows(number, total) for number in left)
    with (
        Probe(model, layers=wanted.layers, attention=wanted.attention) as probe,
        progress.bar("teacher outputs", total, "texts", done=there) as advance,
    ):

        def report() -> None:
            done = {number for number in left if paths[number].is_dir()}
            left.difference_update(done)
            if done:
                advance(sum(_shard_rows(number, total) for number in done))

        for number in sorted(left):
            if _claim(paths[number]):
                _write_shard(paths[number], model, tokens, number, probe, wanted)
                report()
        process.wait_for_everyone()
        report()
    if process.is_main_process:
        for claim in folder.glob(_CLAIM.format("*")):
            claim.rmdir()
    return TeacherOutputs(folder, tokens)


def _claim(path: Path) -> bool:
    """Take a shard for this process, unless another one has; a claim outlives its shard."""
    try:
        path.with_name(_CLAIM.format(path.name)).mkdir()
    except FileExistsError:
        return False
    return True


def _require_room(folder: Path, model: PreTrainedModel, tokens: Tokens, wanted: Wanted) -> None:
    """Refuse to begin what the disk has no room for."""
    total, needed, least = len(tokens), 0, 0
    for number, path in enumerate(_shard_paths(folder, total)):
        if not path.is_dir():
            first, rows = number * SHARD, _shard_rows(number, total)
            shapes = _shapes(model, rows, int(tokens.offsets[first + rows] - tokens.offsets[first]), wanted)
            sizes = {name: prod(shape) * dtype.itemsize for name, (shape, dtype) in shapes.items()}
            needed, least = needed + sum(sizes.values()), least + sizes[_LOGITS]
    fewer = f"the logits alone take {room.amount(least)}" if needed > least else ""
    room.require(folder, needed, what="the teacher's outputs", otherwise=fewer)


def _prepare(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder ready for the outputs of ``plan``, emptying it when it holds others'."""
    file = folder / _PLAN
    try:
        found = jsontext.loads(file.read_bytes(), finite=False)
    except (OSError, ValueError):
        found = None
    if found != plan and folder.exists():
        logger.info("%s holds no outputs of this teacher and these texts; starting anew", folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in (*folder.glob(_PARTIAL.format("*", "*")), *folder.glob(_CLAIM.format("*"))):
        shutil.rmtree(leftover, ignore_errors=True)
    write_json(file, plan)


def _shard_paths(folder: Path, total: int) -> list[Path]:
    return [folder / f"shard-{number:06d}" for number in range(-(-total // SHARD))]


def _shard_rows(number: int, total: int) -> int:
    return min(SHARD, total - number * SHARD)


def _shapes(
    model: PreTrainedModel, rows: int, total: int, wanted: Wanted
) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the shape and dtype of each of a shard's arrays; ``total`` counts its tokens."""
    half, width = np.dtype(np.float16), model.config.hidden_size
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
        _LOGITS: ((rows, model.config.num_labels), np.dtype(np.float32))
    }
    if wanted.layers:
        shapes[_HIDDEN] = ((total, len(wanted.layers), width), half)
    if wanted.attention:
        shapes[_ATTENTION] = ((total, 3, attention_width(model)), half)
    return shapes


def _write_shard(
    path: Path, model: PreTrainedModel, tokens: Tokens, number: int, probe: Probe, wanted: Wanted
) -> None:
    """Compute one shard under a temporary name.

    The arrays are memory maps: those of 2,048 long texts and a wide model would take some GB.
    """
    first, rows = number * SHARD, _shard_rows(number, len(tokens))
    total = int(tokens.offsets[first + rows] - tokens.offsets[first])
    partial = path.with_name(_PARTIAL.format(path.name, os.getpid()))
    partial.mkdir()
    arrays = {
        name: np.lib.format.open_memmap(partial / name, "w+", dtype, shape)
        for name, (shape, dtype) in _shapes(model, rows, total, wanted).items()
    }
    _run(model, tokens, number, probe, wanted, arrays)
    for array in arrays.values():
        array.flush()
    arrays.clear()
    flush_tree(partial)
    partial.replace(path)


def _run(
    model: PreTrainedModel,
    tokens: Tokens,
    number: int,
    probe: Probe,
    wanted: Wanted,
    arrays: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Fill a shard's arrays."""
    first = number * SHARD
    offsets = tokens.offsets[first : first + len(arrays[_LOGITS]) + 1]
    starts, lengths = offsets - offsets[0], np.diff(offsets)
    dtype = prediction.precision_of(wanted.precision, model.device)
    with torch.inference_mode(), prediction.computing(dtype, model.device):
        for places in batching.by_length(lengths, batch_size=prediction.EVALUATION_BATCH):
            batch = prediction.to_device(tokens, first + places, model.device, multiple=LENGTH_STEP)
            logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits
            arrays[_LOGITS][places] = logits.float().cpu().numpy()
            if wanted.layers:
                _unpad(arrays[_HIDDEN], probe.hidden(), starts[places], lengths[places])
            if wanted.attention:
                _unpad(arrays[_ATTENTION], probe.attention(), starts[places], lengths[places])


def _unpad(
    target: npt.NDArray[np.float16], states: torch.Tensor, starts: Indices, lengths: Sequence[int] | Indices
) -> None:
    values = states.to(torch.float16).cpu().numpy()
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        target[start : start + length] = values[row, :length]
