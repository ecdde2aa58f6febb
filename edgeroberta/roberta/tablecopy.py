"""Copies a model's weights into one file with some rows of its tables alone, in constant memory."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import tensorfile
from edgeroberta.roberta.config import DOWNLOAD
from edgeroberta.roberta.names import ENCODER, WORDS
from edgeroberta.roberta.tensorfile import TensorEntry

Indices = npt.NDArray[np.int64]

FILE = tensorfile.SINGLE
POSITIONS = "embeddings.position_embeddings.weight"
#: Tensors with one row for each token: the embeddings, and what a head for masked words has. A model for
#: classification has no such head; a base model may come with it, tied to the embeddings or not.
TOKEN_TABLES = (WORDS, "lm_head.decoder.weight", "lm_head.decoder.bias", "lm_head.bias")
#: Constants that transformers before 4.31 stored; as long as the position table, and made anew on loading.
STORED_CONSTANTS = ("embeddings.position_ids", "embeddings.token_type_ids")

# 4,096 rows of 768 floats are 13 MB.
_ROWS = 4096


def entry(folder: Path, name: str) -> TensorEntry:
    """Find a tensor of a model folder by its name without the encoder's prefix.

    Raises:
        CheckpointError: There is none, or a file is damaged.
    """
    for key, found in tensorfile.read_folder(folder).items():
        if key.removeprefix(ENCODER) == name:
            return found
    raise CheckpointError(f"the weights lack {name}", where=str(folder), hint=DOWNLOAD)


def floats(folder: Path, name: str, count: int) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Read a table of floating-point numbers, some rows at a time.

    Args:
        folder: The model folder.
        name: Name of the tensor, without the encoder's prefix; it has two dimensions.
        count: Rows at a time.

    Yields:
        Number of the first row, and the rows as float64.

    Raises:
        CheckpointError: The tensor is missing or not floating-point.
    """
    found = entry(folder, name)
    if found.dtype not in tensorfile.FLOATS:
        raise CheckpointError(f"{name} is stored as {found.dtype}, not as floats", where=str(found.file))
    view = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}[found.dtype]
    table = np.memmap(found.file, view, "r", offset=found.start, shape=found.shape)
    for start in range(0, found.shape[0], count):
        rows = np.asarray(table[start : start + count])
        if found.dtype == "BF16":  # the upper half of a float32
            rows = (rows.astype("<u4") << 16).view("<f4")
        yield start, rows.astype(np.float64)


def copy(
    source: Path,
    file: Path,
    rows: Mapping[str, Indices],
    *,
    without: Collection[str] = (),
    names: Mapping[str, str] | None = None,
) -> None:
    """Copy all tensors of a model folder into one safetensors file.

    Args:
        source: The model folder.
        file: The file to write.
        rows: Name of a tensor, without the encoder's prefix, to the rows to keep of it, in their new
            order; names that the folder does not have are passed over.
        without: Names of tensors to leave out.
        names: Stored name to new name of every tensor; None leaves the names.

    Raises:
        CheckpointError: A file is damaged.
    """
    tensors = {
        (name if names is None else names[name]): (found, rows.get(name.removeprefix(ENCODER)))
        for name, found in tensorfile.read_folder(source).items()
        if name.removeprefix(ENCODER) not in without
    }
    # Largest elements first, as the format's own writer has it: every tensor is then aligned.
    order = sorted(tensors, key=lambda name: (-_element_bytes(tensors[name][0]), name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name in order:
        found, kept = tensors[name]
        shape = found.shape if kept is None else (len(kept), *found.shape[1:])
        stop = start + math.prod(shape) * _element_bytes(found)
        header[name] = {"dtype": found.dtype, "shape": shape, "data_offsets": (start, stop)}
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            _copy_tensor(*tensors[name], out)


def _copy_tensor(found: TensorEntry, kept: Indices | None, out: BinaryIO) -> None:
    if not found.elements:
        return
    count = found.shape[0] if found.shape else 1
    width = (found.stop - found.start) // count
    # Read only what is needed: a table of 250,002 rows is 0.8 GB.
    table = np.memmap(found.file, np.uint8, "r", offset=found.start, shape=(count, width))
    wanted = np.arange(count) if kept is None else kept
    for first in range(0, len(wanted), _ROWS):
        out.write(table[wanted[first : first + _ROWS]].tobytes())


def _element_bytes(found: TensorEntry) -> int:
    return (found.stop - found.start) // max(found.elements, 1)
