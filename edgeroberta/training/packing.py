"""Unlabelled text as training sequences on disk: made once, found again, and read through a memory map."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgeroberta import distributed
from edgeroberta.data.documents import DocumentForm, Documents, reformed
from edgeroberta.errors import DataError, RecipeError
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.settings import StageConfig
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import digest_value, flush, flush_tree, write_json
from edgeroberta.training.blocks import Blocks, PackedCorpus, Packing
from edgeroberta.training.corpus_tokens import CorpusTokenizer
from edgeroberta.training.sentence_ends import SentenceEnds
from edgeroberta.training.sequences import PACKERS, Sequences, Template, Window, mixed
from edgeroberta.training.tokenized_documents import TokenizedDocuments

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
_PLAN = "plan.json"
_TRAIN, _HELDOUT = "train", "heldout"
#: Tokens that are packed at a time. One sequence of each such window is short.
_WINDOW = 1 << 21
#: Random streams of the two parts.
_STREAMS = {_TRAIN: 0, _HELDOUT: 1}


class PackingSettings(StageConfig):
    """How unlabelled text becomes training sequences."""

    packing: Packing = Field(
        Packing.FULL_SENTENCES,
        description="What a training sequence is: sentences across documents, sentences of one document, or"
        " two parts of which the second follows the first or is of another document.",
    )
    heldout: float = Field(
        0.01,
        gt=0,
        le=0.5,
        description="Share of the documents to hold out, for perplexity. In a small corpus it is more: up to"
        " 20 documents, a tenth of all.",
    )
    shuffle_buffer: int = Field(
        10_000,
        ge=0,
        description="Documents that are mixed before they are packed; 0 keeps their order.",
    )
    documents: DocumentForm = Field(
        DocumentForm.AUTO,
        description="What a document is in a text file: each line, or the lines between two blank ones.",
    )


def pack(
    documents: Documents,
    model: Checkpoint,
    *,
    folder: Path,
    settings: PackingSettings,
    length: int,
    seed: int,
    progress: Progress,
) -> PackedCorpus:
    """Tokenize and pack a corpus into files, unless they are there already.

    Under ``accelerate launch`` the main process does it, and the others wait and read its files. ``model``:
    whose tokenizer. ``folder``: where the files go; it must not hold anything else. Survives a kill.
    ``length``: tokens of the longest sequence, special ones included. ``seed``: of the order of documents and
    of pairs. Raises RecipeError: sequences are longer than the model takes; DataError: there are too few
    documents.
    """
    process = distributed.current()
    if process.main:
        tokenizer = CorpusTokenizer.open(model)
        _check_length(length, model)
        chosen = {name: getattr(settings, name) for name in PackingSettings.model_fields} | {"length": length}
        made_of = digest_value([tokenizer.digest, documents.digest, chosen, seed])
        if _plan(folder).get("blocks_of") != made_of:
            packer = _Packing(tokenizer, settings, length, seed, documents.source)
            _write(reformed(documents, settings.documents), packer, made_of, folder, progress)
    process.wait()
    plan = _plan(folder)
    parts = {
        part: _open(folder, part, plan, model.config.pad_token_id, plan["blocks_of"])
        for part in (_TRAIN, _HELDOUT)
    }
    return PackedCorpus(parts[_TRAIN], parts[_HELDOUT], plan["documents"], plan["tokens"], plan["bytes"])


def _check_length(length: int, model: Checkpoint) -> None:
    if length > model.max_length:
        raise RecipeError(
            f"sequences of {length} tokens, and the model takes {model.max_length}",
            where="max_length",
            hint=f"set it to {model.max_length} or less",
        )


def _plan(folder: Path) -> Mapping[str, Any]:
    try:
        found = jsontext.loads((folder / _PLAN).read_bytes(), finite=False)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("schema_version") == SCHEMA_VERSION else {}


def _open(folder: Path, part: str, plan: Mapping[str, Any], pad_id: int, made_of: str) -> Blocks:
    offsets = np.load(folder / f"{part}-offsets.npy", allow_pickle=False)
    ids = np.memmap(folder / f"{part}-ids.bin", np.dtype(plan["ids"]), "r", shape=(int(offsets[-1]),))
    pairs = folder / f"{part}-next.npy"
    return Blocks(
        np.asarray(ids),
        offsets,
        pad_id,
        limit=plan["length"],
        next_sentence=np.load(pairs, allow_pickle=False) if pairs.is_file() else None,
        content=digest_value([made_of, part]),
    )


@dataclass(frozen=True)
class _Packing:
    """How documents become sequences."""

    tokenizer: CorpusTokenizer
    settings: PackingSettings
    length: int
    seed: int
    source: str  # what errors call the documents

    @property
    def fewest(self) -> int:
        """How many different documents each part needs."""
        return 2 if self.settings.packing.paired else 1


def _write(documents: Documents, packing: _Packing, made_of: str, folder: Path, progress: Progress) -> None:
    partial = folder.with_name(f".partial-{folder.name}")
    for former in (partial, folder):
        if former.exists():
            logger.info("%s does not hold these texts as they are wanted; starting anew", former)
            shutil.rmtree(former)
    partial.mkdir(parents=True)
    tokenized = TokenizedDocuments.write(documents, packing.tokenizer, partial, progress)
    border = tokenized.heldout_below(packing.settings.heldout, fewest=packing.fewest, where=documents.source)
    writers = {part: _Writer(partial, part, packing) for part in (_TRAIN, _HELDOUT)}
    with progress.bar("pack", tokenized.documents, "documents") as advance:
        for part in tokenized.parts():
            out = part.keys < border
            for name, chosen in ((_TRAIN, ~out), (_HELDOUT, out)):
                writers[name].add(part.ids[np.repeat(chosen, part.lengths)], part.lengths[chosen])
            advance(len(part.lengths))
    for writer in writers.values():
        writer.close()
    tokenized.remove()
    plan = {
        "schema_version": SCHEMA_VERSION,
        "blocks_of": made_of,
        "ids": tokenized.dtype.str,
        "length": packing.length,
        "documents": tokenized.documents,
        "tokens": tokenized.tokens,
        "bytes": tokenized.bytes,
    }
    write_json(partial / _PLAN, plan)
    flush_tree(partial)
    partial.replace(folder)
    flush(folder.parent)


class _Writer:
    """Gathers the documents of one part, mixes them, and appends sequences to its files."""

    def __init__(self, folder: Path, part: str, packing: _Packing) -> None:
        self._folder, self._part, self._packing = folder, part, packing
        self._file = (folder / f"{part}-ids.bin").open("wb")
        self._template = Template.of(packing.tokenizer.tokenizer)
        self._ends = SentenceEnds.of(packing.tokenizer.tokenizer)
        self._random = np.random.default_rng([packing.seed, _STREAMS[part]])
        self._ids: list[npt.NDArray[Any]] = []
        self._sizes: list[npt.NDArray[np.int64]] = []
        self._lengths: list[npt.NDArray[np.int64]] = []
        self._labels: list[npt.NDArray[np.int8]] = []

    def add(self, ids: npt.NDArray[Any], sizes: npt.NDArray[np.int64]) -> None:
        """Take more documents, and pack those that are there once they are enough."""
        if len(sizes):
            self._ids.append(ids)
            self._sizes.append(sizes)
        if sum(map(len, self._ids)) >= _WINDOW:
            self._flush()

    def _flush(self) -> None:
        ids, sizes = np.concatenate(self._ids), np.concatenate(self._sizes)
        documents = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self._ids, self._sizes = [], []
        if self._packing.settings.shuffle_buffer:
            ids, documents = mixed(ids, documents, self._random)
        first = np.zeros(len(ids), bool)
        first[documents[:-1]] = True
        window = Window(ids, documents, self._ends.of_ids(ids, first))
        packer = PACKERS[self._packing.settings.packing]
        self._append(packer(window, self._template, self._packing.length, self._random))

    def _append(self, made: Sequences) -> None:
        self._file.write(made.ids.tobytes())
        self._lengths.append(made.lengths)
        if made.next_sentence is not None:
            self._labels.append(made.next_sentence)

    def close(self) -> None:
        """Pack what is left, and write where each sequence starts."""
        if self._ids:
            self._flush()
        self._file.close()
        if not self._lengths:
            raise DataError(f"no document is left for the {self._part} part", where=self._packing.source)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(self._lengths))])
        np.save(self._folder / f"{self._part}-offsets.npy", offsets, allow_pickle=False)
        if self._labels:
            np.save(self._folder / f"{self._part}-next.npy", np.concatenate(self._labels), allow_pickle=False)
