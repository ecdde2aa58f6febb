"""Tokenized texts on disk: written once, part by part, and read through a memory map.

In memory are the offsets, 8 bytes a text, and so are the orders that batches are cut from: some tens
of MB for a million texts. Where the places of tokens are kept, they take 12 bytes a token on disk.
"""

from __future__ import annotations

import contextlib
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
from edgeroberta.training.batching import CHUNK, Encoder, Indices, Tokens, first_windows

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
_PLAN, _IDS, _OFFSETS, _PLACES = "plan.json", "ids.bin", "offsets.npy", "places.bin"
#: Where texts are read in windows; see :attr:`edgeroberta.training.batching.Tokens.inputs`.
_INPUTS = "inputs.npy"


def tokenize(
    encoder: Encoder, parts: Sequence[Texts], *, folder: Path, progress: Progress, places: bool = False
) -> Tokens:
    """Tokenize texts into files, unless the files are there already.

    Under ``accelerate launch`` the main process does it, and the others wait and read its files. ``encoder``:
    the tokenizer. ``folder``: where the files go; it must not hold anything else. Survives a kill.
    ``places``: keep what each token stands for, too. Returns the token ids.
    """
    process = distributed.current()
    if process.main:
        contents = digest_value([encoder.digest, [part.digest for part in parts]])
        plan = {"schema_version": SCHEMA_VERSION, "tokens_of": contents, "ids": "int32, little-endian"}
        if places:
            plan["places"] = "int32, little-endian, [tokens, 3]"
        if _plan(folder) != plan:
            _write(encoder, parts, plan, folder, progress)
    process.wait()
    offsets = np.load(folder / _OFFSETS, allow_pickle=False)
    total, dtype = int(offsets[-1]), np.dtype("<i4")
    ids = np.memmap(folder / _IDS, dtype, "r", shape=(total,))
    where = np.memmap(folder / _PLACES, dtype, "r", shape=(total, 3)) if places else None
    inputs = folder / _INPUTS
    return Tokens(
        np.asarray(ids),
        offsets,
        encoder.pad_id,
        None if where is None else np.asarray(where),
        encoder.limit,
        _rows(parts),
        np.load(inputs, allow_pickle=False) if inputs.is_file() else None,
    )


def _rows(parts: Sequence[Texts]) -> Indices | None:
    """Return where the texts of each row start, int64[rows + 1]; None where each text is a row."""
    if all(part.units == 1 for part in parts):
        return None
    counts = np.repeat([part.units for part in parts], [len(part) for part in parts])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


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
    with contextlib.ExitStack() as stack:
        advance = stack.enter_context(
            progress.bar("tokenize", sum(len(part) * part.units for part in parts), "texts")
        )
        ids = stack.enter_context((partial / _IDS).open("wb"))
        places = stack.enter_context((partial / _PLACES).open("wb")) if "places" in plan else None
        lengths: list[Indices] = []
        counts: list[int] = []
        for found, windows in _encoded(encoder, parts, ids, places):
            lengths.append(found)
            counts += windows or ()
            advance(len(windows or found))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(lengths))])
    np.save(partial / _OFFSETS, offsets, allow_pickle=False)
    if counts:
        np.save(partial / _INPUTS, first_windows(counts), allow_pickle=False)
    write_json(partial / _PLAN, plan)
    flush_tree(partial)
    partial.replace(folder)
    flush(folder.parent)


def _encoded(
    encoder: Encoder, parts: Sequence[Texts], ids: BinaryIO, places: BinaryIO | None
) -> Iterator[tuple[Indices, list[int] | None]]:
    """Append ids and places of some thousands of texts at a time to files.

    Yields the length of each, and how many windows each is read in, see :class:`.batching.EncodedTexts`.
    """
    for part in parts:
        for rows in part.chunks():
            inputs = rows.read()
            for start in range(0, len(inputs), CHUNK):
                found, counts = encoder.texts(inputs[start : start + CHUNK], places=places is not None)
                ids.write(np.concatenate([np.asarray(each, "<i4") for each, _ in found]).tobytes())
                if places is not None:
                    places.write(np.concatenate([np.asarray(each, "<i4") for _, each in found]).tobytes())
                yield np.fromiter((len(each) for each, _ in found), np.int64, len(found)), counts
