"""Tokenized texts on disk: written once, part by part, and read through a memory map.

In memory are the offsets, 8 bytes a text, and so are the orders that batches are cut from: some tens
of MB for a million texts.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from edgeroberta import distributed
from edgeroberta.data.rows import Texts
from edgeroberta.progress import Progress
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import digest_value, flush, flush_tree, write_json
from edgeroberta.training.batching import CHUNK, Encoder, Indices, Tokens

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
_PLAN, _IDS, _OFFSETS = "plan.json", "ids.bin", "offsets.npy"


def tokenize(encoder: Encoder, parts: Sequence[Texts], *, folder: Path, progress: Progress) -> Tokens:
    """Tokenize texts into files, unless the files are there already.

    Under ``accelerate launch`` the main process does it, and the others wait and read its files. ``encoder``:
    the tokenizer. ``folder``: where the files go; it must not hold anything else. Survives a kill. Returns
    the token ids.
    """
    process = distributed.current()
    if process.main:
        contents = digest_value([encoder.digest, [part.digest for part in parts]])
        plan = {"schema_version": SCHEMA_VERSION, "tokens_of": contents, "ids": "int32, little-endian"}
        if _plan(folder) != plan:
            _write(encoder, parts, plan, folder, progress)
    process.wait()
    offsets = np.load(folder / _OFFSETS, allow_pickle=False)
    ids = np.memmap(folder / _IDS, np.dtype("<i4"), "r", shape=(int(offsets[-1]),))
    return Tokens(np.asarray(ids), offsets, encoder.pad_id)


def _plan(folder: Path) -> Any:
    try:
        return jsontext.loads((folder / _PLAN).read_bytes(), finite=False)
    except (OSError, ValueError):
        return None


def _write(
    encoder: Encoder, parts: Sequence[Texts], plan: dict[str, Any], folder: Path, progress: Progress
) -> None:
    partial = folder.with_name(f".partial-{folder.name}")
    for former in (partial, folder):
        if former.exists():
            logger.info("%s holds no whole set of these texts' tokens; starting anew", former)
            shutil.rmtree(former)
    partial.mkdir(parents=True)
    with (
        (partial / _IDS).open("wb") as file,
        progress.bar("tokenize", sum(len(part) for part in parts), "texts") as advance,
    ):
        lengths = []
        for found in _encoded(encoder, parts, file):
            lengths.append(found)
            advance(len(found))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(lengths))])
    np.save(partial / _OFFSETS, offsets, allow_pickle=False)
    write_json(partial / _PLAN, plan)
    flush_tree(partial)
    partial.replace(folder)
    flush(folder.parent)


def _encoded(encoder: Encoder, parts: Sequence[Texts], file: BinaryIO) -> Iterator[Indices]:
    """Append the ids of some thousands of texts at a time to ``file``; yield the length of each text."""
    for part in parts:
        for rows in part.chunks():
            inputs = rows.inputs()
            for start in range(0, len(inputs), CHUNK):
                sequences = [np.asarray(ids, "<i4") for ids in encoder.encode(inputs[start : start + CHUNK])]
                file.write(np.concatenate(sequences).tobytes())
                yield np.fromiter(map(len, sequences), np.int64, len(sequences))
