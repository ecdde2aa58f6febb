"""Training sequences in files: written part by part, and mapped into memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import digest_value
from edgeroberta.training.batching import first_windows
from edgeroberta.training.blocks import Blocks
from edgeroberta.training.sequences import Sequences

SCHEMA_VERSION = 1
PLAN = "plan.json"


def read_plan(folder: Path) -> Mapping[str, Any]:
    """Read what a folder of blocks holds; empty where it holds none."""
    try:
        found = jsontext.loads((folder / PLAN).read_bytes(), finite=False)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("schema_version") == SCHEMA_VERSION else {}


class Written(NamedTuple):
    """What was written of a part."""

    sequences: int
    follow: int  # those of which the second part follows the first


def write(folder: Path, part: str, made: Iterable[Sequences]) -> Written:
    """Write sequences as they are made."""
    lengths: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    labels: list[npt.NDArray[np.int8]] = []
    with _ids(folder, part).open("wb") as file:
        for each in made:
            file.write(each.ids.tobytes())
            lengths.append(each.lengths)
            if each.next_sentence is not None:
                labels.append(each.next_sentence)
    offsets = first_windows(np.concatenate(lengths))
    np.save(_offsets(folder, part), offsets, allow_pickle=False)
    if labels:
        np.save(_labels(folder, part), np.concatenate(labels), allow_pickle=False)
    return Written(len(offsets) - 1, sum(int(each.sum()) for each in labels))


def read(folder: Path, part: str, plan: Mapping[str, Any], *, pad_id: int) -> Blocks:
    """Map the sequences of a part into memory; ``plan``: what :func:`read_plan` has found."""
    offsets = np.load(_offsets(folder, part), allow_pickle=False)
    ids = np.memmap(_ids(folder, part), np.dtype(plan["ids"]), "r", shape=(int(offsets[-1]),))
    labels = _labels(folder, part)
    return Blocks(
        np.asarray(ids),
        offsets,
        pad_id,
        limit=plan["length"],
        next_sentence=np.load(labels, allow_pickle=False) if labels.is_file() else None,
        content=digest_value([plan["blocks_of"], part]),
    )


def _ids(folder: Path, part: str) -> Path:
    return folder / f"{part}-ids.bin"


def _offsets(folder: Path, part: str) -> Path:
    return folder / f"{part}-offsets.npy"


def _labels(folder: Path, part: str) -> Path:
    return folder / f"{part}-next.npy"
