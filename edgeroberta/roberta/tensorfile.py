"""Safetensors files read without torch: names, shapes, places, and a scan for NaN.

The ``safetensors`` package reads and checks the headers: a file that it opens holds its tensors one after
the other, from the header to the end, so their places follow from their sizes. The values are read by place,
since the package (0.8) reads bfloat16 with torch alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import files
from edgeroberta.storage import jsontext

_SCANNED = 1 << 22  # elements at a time
_REWRITE = "copy or download the file again; it is not whole"

#: Types of floating point: the numpy view of their bits, and the mask of the exponent. An element whose
#: exponent bits are all set is NaN or infinite, so bfloat16 needs no conversion.
_FLOATS: Mapping[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0000000000000),
    "F32": ("<u4", 0x7F800000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies."""

    file: Path  # the safetensors file that holds it
    dtype: str  # the format's dtype name, e.g. ``F32``.
    shape: tuple[int, ...]  # its dimensions
    start: int  # offset of its first byte from the start of the file
    stop: int  # offset after its last byte

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether it is of floating point, as weights are that are not quantized."""
        return self.dtype in _FLOATS

    def floats(self, count: int) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
        """Read a table by ``count`` rows: the number of the first of them, and the rows as float64."""
        if not self.is_float:
            raise CheckpointError(f"a table is stored as {self.dtype}, not as floats", where=str(self.file))
        view = "<u2" if self.dtype == "BF16" else _FLOATS[self.dtype][0].replace("u", "f")
        table = np.memmap(self.file, view, "r", offset=self.start, shape=self.shape)
        for first in range(0, self.shape[0], count):
            rows = np.asarray(table[first : first + count])
            if self.dtype == "BF16":  # the upper half of a float32
                rows = (rows.astype("<u4") << 16).view("<f4")
            yield first, rows.astype(np.float64)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """List the safetensors files of a model folder: one alone, the shards its index names, or none."""
    single, index = folder / files.WEIGHTS, folder / files.WEIGHTS_INDEX
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


def read_headers(found: Sequence[Path]) -> dict[str, TensorEntry]:
    """Read which tensors the weight files of a model hold, over all shards."""
    headers: dict[str, TensorEntry] = {}
    for file in found:
        for entry_name, entry in _header(file):
            if entry_name in headers:
                raise CheckpointError(
                    f"{entry_name} is also in {headers[entry_name].file.name}", where=str(file), hint=_REWRITE
                )
            headers[entry_name] = entry
    return headers


def _header(file: Path) -> Iterator[tuple[str, TensorEntry]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as reader:
            slices: list[tuple[str, Any]] = [(name, reader.get_slice(name)) for name in reader.offset_keys()]
            shapes = [(name, each.get_dtype(), tuple(each.get_shape())) for name, each in slices]
    except SafetensorError as error:
        raise CheckpointError(
            f"not a whole safetensors file ({error!s:.200})", where=str(file), hint=_REWRITE
        ) from error
    sizes = [math.prod(shape) * _bits(dtype) // 8 for _, dtype, shape in shapes]
    start = file.stat().st_size - sum(sizes)
    for (name, dtype, shape), size in zip(shapes, sizes, strict=True):
        yield name, TensorEntry(file, dtype, shape, start, start + size)
        start += size


def _bits(dtype: str) -> int:
    """Return how many bits an element takes; the format names its types after them, as ``F8_E4M3``."""
    named = re.search(r"\d+", dtype)
    return int(named[0]) if named else 8  # BOOL


def not_finite(headers: Mapping[str, TensorEntry]) -> Iterator[str]:
    """Name the tensors that hold NaN or infinity, reading each file once and in constant memory."""
    for file in dict.fromkeys(entry.file for entry in headers.values()):
        with file.open("rb") as handle:
            for name, entry in headers.items():
                if entry.file == file and entry.is_float:
                    view, exponent = _FLOATS[entry.dtype]
                    handle.seek(entry.start)
                    left = entry.elements
                    while left:
                        bits = np.fromfile(handle, view, min(left, _SCANNED))
                        if not len(bits) or np.any((bits & bits.dtype.type(exponent)) == exponent):
                            yield name
                            break
                        left -= len(bits)
