"""Safetensors files read without torch: names, shapes, sizes, and a scan for NaN.

The format (https://github.com/huggingface/safetensors) is an 8-byte little-endian header length, a
JSON header of ``{name: {dtype, shape, data_offsets}}``, then the tensors' bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import CheckpointError, shown
from edgeroberta.storage import jsontext

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_HEADER_LIMIT = 100 << 20  # what the reference implementation accepts
_SCAN_BYTES = 16 << 20
_REWRITE = "copy or download the file again; it is not whole"

#: dtype name to (bytes per element, numpy view, mask of the exponent bits or None for integers);
#: an element whose exponent bits are all set is NaN or infinite, so bfloat16 needs no conversion.
_DTYPES: Mapping[str, tuple[int, str, int | None]] = {
    "F64": (8, "<u8", 0x7FF0000000000000),
    "F32": (4, "<u4", 0x7F800000),
    "F16": (2, "<u2", 0x7C00),
    "BF16": (2, "<u2", 0x7F80),
    "I64": (8, "<u8", None),
    "I32": (4, "<u4", None),
    "I16": (2, "<u2", None),
    "I8": (1, "u1", None),
    "U8": (1, "u1", None),
    "BOOL": (1, "u1", None),
}
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies.

    Attributes:
        file: The safetensors file that holds it.
        dtype: The format's dtype name, e.g. ``F32``.
        shape: Its dimensions.
        start: Offset of its first byte from the start of the file.
        stop: Offset after its last byte.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """List the safetensors files of a model folder.

    Args:
        folder: A Hugging Face model folder.

    Returns:
        ``model.safetensors`` alone, or the shards its index names; empty when there is neither.

    Raises:
        CheckpointError: The index is not readable, leads outside the folder or names an absent shard.
    """
    single, index = folder / SINGLE, folder / INDEX
    if single.is_file():
        return (single,)
    if not index.is_file():
        return ()
    try:
        names = sorted(set(jsontext.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError("the index of the weight files is not readable", where=str(index)) from error
    for name in names:
        # 255 bytes is what a name may have on Linux; asking for a longer one fails
        if not isinstance(name, str) or Path(name).name != name or len(name.encode(errors="replace")) > 255:
            raise CheckpointError(
                f"the index names {name!r}, which is not a file beside it", where=str(index)
            )
        if not (folder / name).is_file():
            raise CheckpointError(
                f"the index names {name}, which is not there",
                where=str(index),
                hint="download the model again, with all its weight files",
            )
    return tuple(folder / name for name in names)


def read_header(file: Path) -> dict[str, TensorEntry]:
    """Read which tensors a safetensors file holds, and check that all their bytes are there.

    Args:
        file: The safetensors file.

    Returns:
        Tensor name to entry.

    Raises:
        CheckpointError: The file is empty, truncated, or not safetensors, as the format's own reader sees it.
    """
    size = file.stat().st_size
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or not 2 <= length <= _HEADER_LIMIT:
            raise CheckpointError("not a safetensors file", where=str(file), hint=_REWRITE)
        if 8 + length > size:
            raise CheckpointError(
                f"truncated: the header takes {length} bytes, the file has {size}",
                where=str(file),
                hint=_REWRITE,
            )
        raw = handle.read(length)
    try:
        header = jsontext.loads(raw)
        _check_metadata(header.pop("__metadata__", None))
        entries = {name: _entry(file, 8 + length, fields) for name, fields in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the safetensors header is not readable ({error})", where=str(file), hint=_REWRITE
        ) from error
    _check_layout(file, entries, 8 + length, size)
    return entries


def _check_metadata(metadata: Any) -> None:
    if metadata is not None and not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("the metadata is no table of strings")


def _check_layout(file: Path, entries: Mapping[str, TensorEntry], start: int, size: int) -> None:
    """Refuse tensors that do not lie one after the other, from the header to the end of the file."""
    end = max((entry.stop for entry in entries.values()), default=start)
    if end > size:
        raise CheckpointError(
            f"truncated: the tensors end at byte {end}, the file has {size}",
            where=str(file),
            hint=_REWRITE,
        )
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != start:
            raise CheckpointError(
                f"{name} begins at byte {entry.start}, where byte {start} is due",
                where=str(file),
                hint=_REWRITE,
            )
        start = entry.stop
    if start != size:
        raise CheckpointError(
            f"the tensors end at byte {start}, the file has {size}", where=str(file), hint=_REWRITE
        )


def _entry(file: Path, base: int, fields: Mapping[str, Any]) -> TensorEntry:
    dtype, shape, (start, stop) = fields["dtype"], fields["shape"], fields["data_offsets"]
    for value in (*shape, start, stop):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            raise ValueError(f"{shown(value)} is no size")
    entry = TensorEntry(file, dtype, tuple(shape), base + start, base + stop)
    if dtype not in _DTYPES:
        raise ValueError(f"unknown dtype {shown(dtype)}")
    if stop - start != entry.elements * _DTYPES[dtype][0]:
        raise ValueError("offsets and shape disagree")
    return entry


def read_folder(folder: Path) -> dict[str, TensorEntry]:
    """Read the headers of all weight files of a model folder.

    Args:
        folder: A Hugging Face model folder.

    Returns:
        Tensor name to entry, over all shards.

    Raises:
        CheckpointError: A file is missing or damaged, or two hold the same tensor.
    """
    entries: dict[str, TensorEntry] = {}
    for file in weight_files(folder):
        found = read_header(file)
        for name in entries.keys() & found.keys():
            raise CheckpointError(
                f"{name} is also in {entries[name].file.name}", where=str(file), hint=_REWRITE
            )
        entries.update(found)
    return entries


def is_finite(entry: TensorEntry) -> bool:
    """Tell whether a tensor is free of NaN and infinity, reading it in constant memory.

    Args:
        entry: The tensor; integers are always finite.

    Returns:
        False when at least one element is NaN or infinite.
    """
    _, view, exponent = _DTYPES[entry.dtype]
    if exponent is None:
        return True
    with entry.file.open("rb") as handle:
        handle.seek(entry.start)
        left = entry.stop - entry.start
        while left:
            block = handle.read(min(left, _SCAN_BYTES))
            if not block:
                return False
            left -= len(block)
            bits = np.frombuffer(block, view)
            if np.any((bits & bits.dtype.type(exponent)) == exponent):
                return False
    return True
