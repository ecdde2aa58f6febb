"""Copies a model's weights into one file with other rows of its tables, in constant memory.

The ``safetensors`` package (0.8) writes what is in memory as a whole; a table of 250,002 rows is 0.8 GB.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.families import bare
from edgeroberta.roberta.names import WORDS
from edgeroberta.roberta.row_means import RowMeans
from edgeroberta.roberta.tensorfile import TensorEntry

Indices = npt.NDArray[np.int64]

POSITIONS = "embeddings.position_embeddings.weight"
#: Tensors with one row for each token: the embeddings, and what a head for masked words has. A model for
#: classification has no such head; a base model may come with it, tied to the embeddings or not.
TOKEN_TABLES = (
    WORDS,
    *(f"lm_head.{name}" for name in ("decoder.weight", "decoder.bias", "bias")),
    *(f"cls.predictions.{name}" for name in ("decoder.weight", "decoder.bias", "bias")),
)
#: Constants that transformers before 4.31 stored; as long as the position table, and made anew on loading.
STORED_CONSTANTS = ("embeddings.position_ids", "embeddings.token_type_ids")

# 4,096 rows of 768 floats are 13 MB.
_ROWS = 4096


def copy(
    source: Checkpoint,
    file: Path,
    rows: Mapping[str, Indices | RowMeans],
    *,
    without: Collection[str] = (),
    new_names: Mapping[str, str] | None = None,
) -> None:
    """Copy all tensors of a model folder into one safetensors file.

    ``rows``: name of a tensor, without the encoder's prefix, to the rows to keep of it, in their new order,
    or to what its new rows are the means of; names that the model does not have are passed over.
    ``new_names``: stored name to new name of every tensor; None leaves the names.
    """
    tensors = {
        (name if new_names is None else new_names[name]): (found, rows.get(bare(name)))
        for name, found in source.tensors.items()
        if bare(name) not in without
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


def _copy_tensor(found: TensorEntry, kept: Indices | RowMeans | None, out: BinaryIO) -> None:
    if not found.elements:
        return
    count = found.shape[0] if found.shape else 1
    width = (found.stop - found.start) // count
    table = np.memmap(found.file, np.uint8, "r", offset=found.start, shape=(count, width))
    wanted = np.arange(count) if kept is None else kept
    for first in range(0, len(wanted), _ROWS):
        if isinstance(wanted, RowMeans):
            out.write(wanted.read(table, found, first, min(first + _ROWS, len(wanted))))
        else:
            out.write(table[wanted[first : first + _ROWS]].tobytes())


def _element_bytes(found: TensorEntry) -> int:
    return (found.stop - found.start) // max(found.elements, 1)
