"""What the teacher, or a model's frozen layers, say of every text: computed once and kept over the epochs.

The texts are cut into shards, each a folder that is renamed into place when it is whole: a killed run
continues with the next shard. :mod:`.shards` reads them. A folder for the outputs of a teacher is named after
all that they depend on (:func:`shared_folder`), so that every stage of a run that wants the same finds them.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from edgeroberta.hardware import versions
from edgeroberta.progress import Progress
from edgeroberta.roberta import heads
from edgeroberta.roberta.heads import masked_positions
from edgeroberta.roberta.observers import OutputRecorder, attention_width
from edgeroberta.storage import codedigest, jsontext
from edgeroberta.storage.artifact import digest_value, flush_tree, write_json
from edgeroberta.tasks import Unit
from edgeroberta.training import batching, npy_reader, prediction, shards
from edgeroberta.training.batching import Indices, Tokens, packed_numbers
from edgeroberta.training.hyperparameters import MatmulPrecision
from edgeroberta.training.masked_tokens import MaskedTexts
from edgeroberta.training.shards import ShardedOutputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
#: Batches are padded to multiples of so many tokens, since on a CPU something is kept for each length
#: that was met; most likely it is oneDNN's cache of matrix products. With a model of two layers of 32,
#: 114 lengths took 216 MB by the end of 100,000 texts; 15 lengths took 27 MB in the first 2,048 texts,
#: and no more by 8,192.
LENGTH_STEP = 8
#: Packages whose major or minor version changes the outputs.
_SHAPING = ("torch", "transformers")
_PLAN = "plan.json"
_PARTIAL, _CLAIM = ".partial-{}-{}", ".claim-{}"


@dataclass(frozen=True)
class WantedOutputs:
    """Which outputs to keep, and how to compute them."""

    logits: Unit | None = Unit.TEXT  # what one vector of logits is kept of; None to keep none
    #: numbers of such a vector, of masks twice the number of tokens that are kept, the best ones; None for
    #: one per label of the model
    width: int | None = None
    temperature: float = 1.0  # what the logits of masks are divided by
    layers: tuple[int, ...] = ()  # layers whose hidden states are kept
    attention: bool = False  # keep queries, keys and values of the last layer
    precision: MatmulPrecision = MatmulPrecision.AUTO  # number format of the matrix products
    kept_as: str = "float16"  # number format in which states are kept, ``float16`` or ``float32``
    what: str = "teacher outputs"  # what they are, in the plural, for progress and errors
    otherwise: str = ""  # what would take less room, a clause for the hint


def compute(
    model: PreTrainedModel,
    tokens: Tokens,
    *,
    folder: Path,
    wanted: WantedOutputs,
    key: str,
    progress: Progress,
) -> ShardedOutputs:
    """Run a model over all texts, shard by shard, leaving out shards that are already there.

    Under ``accelerate launch`` each process takes the next shard that none has taken, so that a slow one does
    not hold up the others. ``folder``: where to keep the outputs; survives a kill. ``key``: digest of the
    model; outputs of another one are thrown away.
    """
    tokens = replace(tokens, rows=None)  # each text by itself, whatever it is a pair of
    process = prediction.accelerator()
    identity = _identity(tokens, wanted, key)
    paths, total = shards.paths(folder, len(tokens)), len(tokens)
    if process.is_main_process:
        _prepare(folder, {"schema_version": SCHEMA_VERSION, "outputs_of": identity})
        _require_room(folder, model, tokens, wanted)
    process.wait_for_everyone()
    model.to(process.device).eval()
    left = {number for number, path in enumerate(paths) if not path.is_dir()}
    there = total - sum(shards.size(number, total) for number in left)
    with (
        OutputRecorder(model, layers=wanted.layers, attention=wanted.attention) as probe,
        progress.bar(wanted.what, total, "texts", done=there) as advance,
    ):

        def report() -> None:
            done = {number for number in left if paths[number].is_dir()}
            left.difference_update(done)
            if done:
                advance(sum(shards.size(number, total) for number in done))

        for number in sorted(left):
            if _claim(paths[number]):
                _write_shard(paths[number], model, tokens, number, probe, wanted)
                report()
        process.wait_for_everyone()
        report()
    if process.is_main_process:
        for claim in folder.glob(_CLAIM.format("*")):
            claim.rmdir()
    return ShardedOutputs(folder, tokens, units=_units(tokens, wanted.logits))


def shared_folder(root: Path, tokens: Tokens, *, wanted: WantedOutputs, key: str) -> Path:
    """Return the folder below ``root`` for outputs of :func:`compute`, which no others are kept in.

    Other versions of torch and transformers, and another program, compute in a folder of their own.
    """
    shaping = {name: version.split(".")[:2] for name, version in versions(_SHAPING).items()}
    parts = [_identity(replace(tokens, rows=None), wanted, key), shaping, codedigest.of(__name__)]
    return root / digest_value(parts)[:16]


def _identity(tokens: Tokens, wanted: WantedOutputs, key: str) -> str:
    """Digest what outputs are of, and which they are."""
    outputs = [list(wanted.layers), wanted.attention, str(wanted.precision), wanted.kept_as, wanted.logits]
    if wanted.logits is Unit.MASK:
        outputs += [wanted.width, wanted.temperature]
    return digest_value([key, tokens.digest, outputs, shards.SHARD])


def _units(tokens: Tokens, unit: Unit | None) -> Indices | None:
    """Return where the units of each text start, int64[n + 1], of which logits are kept; None for texts."""
    if unit is Unit.MASK and isinstance(tokens, MaskedTexts):
        return tokens.mask_offsets
    return tokens.offsets if unit is Unit.TOKEN else None


def _claim(path: Path) -> bool:
    """Take a shard for this process, unless another one has; a claim outlives its shard."""
    try:
        path.with_name(_CLAIM.format(path.name)).mkdir()
    except FileExistsError:
        return False
    return True


def _require_room(folder: Path, model: PreTrainedModel, tokens: Tokens, wanted: WantedOutputs) -> None:
    """Refuse to begin what the disk has no room for."""
    total, needed, least = len(tokens), 0, 0
    for number, path in enumerate(shards.paths(folder, total)):
        if not path.is_dir():
            first, rows = number * shards.SHARD, shards.size(number, total)
            shapes = _shapes(model, tokens, slice(first, first + rows), wanted)
            sizes = {name: prod(shape) * dtype.itemsize for name, (shape, dtype) in shapes.items()}
            needed, least = needed + sum(sizes.values()), least + sizes.get(shards.LOGITS, 0)
    fewer = wanted.otherwise or (
        f"the logits alone take {npy_reader.amount(least)}" if needed > least else ""
    )
    npy_reader.require(folder, needed, what=f"the {wanted.what}", otherwise=fewer)


def _prepare(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder ready for the outputs of ``plan``, emptying it when it holds others'."""
    file = folder / _PLAN
    try:
        found = jsontext.loads(file.read_bytes(), finite=False)
    except (OSError, ValueError):
        found = None
    if found != plan and folder.exists():
        logger.info("%s holds no outputs of this model and these texts; starting anew", folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in (*folder.glob(_PARTIAL.format("*", "*")), *folder.glob(_CLAIM.format("*"))):
        shutil.rmtree(leftover, ignore_errors=True)
    write_json(file, plan)


def _shapes(
    model: PreTrainedModel, tokens: Tokens, rows: slice, wanted: WantedOutputs
) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the shape and dtype of each of a shard's arrays; ``rows``: its texts."""
    kept, width = np.dtype(wanted.kept_as), model.config.hidden_size
    total = int(tokens.offsets[rows.stop] - tokens.offsets[rows.start])
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    if wanted.logits:
        units = _units(tokens, wanted.logits)
        entries = rows.stop - rows.start if units is None else int(units[rows.stop] - units[rows.start])
        shapes[shards.LOGITS] = ((entries, wanted.width or model.config.num_labels), np.dtype(np.float32))
    if wanted.layers:
        shapes[shards.HIDDEN] = ((total, len(wanted.layers), width), kept)
    if wanted.attention:
        shapes[shards.ATTENTION] = ((total, 3, attention_width(model)), kept)
    return shapes


def _write_shard(
    path: Path,
    model: PreTrainedModel,
    tokens: Tokens,
    number: int,
    probe: OutputRecorder,
    wanted: WantedOutputs,
) -> None:
    """Compute one shard under a temporary name.

    The arrays are memory maps: those of 2,048 long texts and a wide model would take some GB.
    """
    first, rows = number * shards.SHARD, shards.size(number, len(tokens))
    partial = path.with_name(_PARTIAL.format(path.name, os.getpid()))
    partial.mkdir()
    arrays = {
        name: np.lib.format.open_memmap(partial / name, "w+", dtype, shape)
        for name, (shape, dtype) in _shapes(model, tokens, slice(first, first + rows), wanted).items()
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
    probe: OutputRecorder,
    wanted: WantedOutputs,
    arrays: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Fill a shard's arrays."""
    first = number * shards.SHARD
    offsets = tokens.offsets[first : first + shards.size(number, len(tokens)) + 1]
    starts, lengths = offsets - offsets[0], np.diff(offsets)
    dtype = prediction.precision_of(wanted.precision, model.device)
    with torch.inference_mode(), prediction.computing(dtype, model.device):
        for places in batching.by_length(lengths, batch_size=prediction.EVALUATION_BATCH):
            batch = prediction.to_device(tokens, first + places, model.device, multiple=LENGTH_STEP)
            logits = heads.logits(model, batch.ids, batch.mask)
            if wanted.logits is Unit.MASK and isinstance(tokens, MaskedTexts):
                best = masked_positions.packed(
                    logits, (wanted.width or 2) // 2, temperature=wanted.temperature
                )
                numbers = packed_numbers(tokens.mask_offsets, first + places)
                arrays[shards.LOGITS][numbers - tokens.mask_offsets[first]] = best.cpu().numpy()
            elif wanted.logits is Unit.TEXT:
                arrays[shards.LOGITS][places] = logits.float().cpu().numpy()
            elif wanted.logits is Unit.TOKEN:
                _unpad(arrays[shards.LOGITS], logits, starts[places], lengths[places])
            if wanted.layers:
                _unpad(arrays[shards.HIDDEN], probe.hidden(), starts[places], lengths[places])
            if wanted.attention:
                _unpad(arrays[shards.ATTENTION], probe.attention(), starts[places], lengths[places])


def _unpad(
    target: npt.NDArray[np.floating], states: torch.Tensor, starts: Indices, lengths: Sequence[int] | Indices
) -> None:
    values = states.float().cpu().numpy().astype(target.dtype, copy=False)
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        target[start : start + length] = values[row, :length]
