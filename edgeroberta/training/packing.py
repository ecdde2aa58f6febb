"""Unlabelled text as training sequences on disk: made once, found again, and read through a memory map."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from edgeroberta import distributed
from edgeroberta.data.documents import DocumentForm, Documents, reformed
from edgeroberta.errors import RecipeError
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.settings import StageConfig
from edgeroberta.storage.artifact import digest_value, flush, flush_tree, write_json
from edgeroberta.training import block_files, document_mixing
from edgeroberta.training.blocks import PackedCorpus, Packing
from edgeroberta.training.corpus_tokens import CorpusTokenizer
from edgeroberta.training.document_mixing import DocumentTokens
from edgeroberta.training.sentence_ends import SentenceEnds
from edgeroberta.training.sequences import PACKERS, Sequences, Template, Window
from edgeroberta.training.tokenized_documents import TokenizedDocuments, too_few

logger = logging.getLogger(__name__)

_TRAIN, _HELDOUT = "train", "heldout"


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
        if block_files.read_plan(folder).get("blocks_of") != made_of:
            packing = _Packing(tokenizer, settings, length, seed)
            _write(reformed(documents, settings.documents), packing, made_of, folder, progress)
    process.wait()
    plan, pad_id = block_files.read_plan(folder), model.config.pad_token_id
    train, heldout = (block_files.read(folder, part, plan, pad_id=pad_id) for part in (_TRAIN, _HELDOUT))
    return PackedCorpus(train, heldout, plan["documents"], plan["tokens"], plan["bytes"])


def _check_length(length: int, model: Checkpoint) -> None:
    if length > model.max_length:
        raise RecipeError(
            f"sequences of {length} tokens, and the model takes {model.max_length}",
            where="max_length",
            hint=f"set it to {model.max_length} or less",
        )


@dataclass(frozen=True)
class _Packing:
    """How documents become sequences."""

    tokenizer: CorpusTokenizer
    settings: PackingSettings
    length: int
    seed: int

    def sequences(
        self, documents: TokenizedDocuments, border: int, *, heldout: bool, progress: Progress
    ) -> Iterator[Sequences]:
        """Cut documents into sequences; ``border``: below which hash of its text one is held out."""
        random = np.random.default_rng([self.seed, int(heldout)])
        tokenizer, packer = self.tokenizer.tokenizer, PACKERS[self.settings.packing]
        template, ends = Template.of(tokenizer), SentenceEnds.of(tokenizer)

        def chosen() -> Iterator[DocumentTokens]:
            with progress.bar("pack", documents.documents, "documents") as advance:
                for part in documents.parts():
                    wanted = (part.keys < border) == heldout
                    yield DocumentTokens(part.ids[np.repeat(wanted, part.lengths)], part.lengths[wanted])
                    advance(len(part.lengths))

        order = document_mixing.mixed(chosen(), self.settings.shuffle_buffer, random)
        for part in document_mixing.windows(order):
            yield packer(Window.of(part.ids, part.lengths, ends), template, self.length, random)


def _write(documents: Documents, packing: _Packing, made_of: str, folder: Path, progress: Progress) -> None:
    partial = folder.with_name(f".partial-{folder.name}")
    for former in (partial, folder):
        if former.exists():
            logger.info("%s does not hold these texts as they are wanted; starting anew", former)
            shutil.rmtree(former)
    partial.mkdir(parents=True)
    tokenized = TokenizedDocuments.write(documents, packing.tokenizer, partial, progress)
    _tell_of_special_tokens(packing.tokenizer, documents.source)
    fewest = 2 if packing.settings.packing.paired else 1
    border = tokenized.heldout_below(packing.settings.heldout, fewest=fewest, where=documents.source)
    for part in (_TRAIN, _HELDOUT):
        heldout = part == _HELDOUT
        told = Progress() if heldout else progress
        made = packing.sequences(tokenized, border, heldout=heldout, progress=told)
        written = block_files.write(partial, part, made)
        if not written.sequences:
            raise too_few(f"no document is left {'to hold out' if heldout else 'to learn'}", documents.source)
        if packing.settings.packing.paired and not heldout and not written.follow:
            what = f"no document has two sentences, so there are no {packing.settings.packing.value}"
            raise too_few(what, documents.source)
    tokenized.remove()
    plan = {
        "schema_version": block_files.SCHEMA_VERSION,
        "blocks_of": made_of,
        "ids": tokenized.dtype.str,
        "length": packing.length,
        "documents": tokenized.documents,
        "tokens": tokenized.tokens,
        "bytes": tokenized.bytes,
    }
    write_json(partial / block_files.PLAN, plan)
    flush_tree(partial)
    partial.replace(folder)
    flush(folder.parent)


def _tell_of_special_tokens(tokenizer: CorpusTokenizer, source: str) -> None:
    if tokenizer.seen:
        found = ", ".join(f"{content} {count:,} times" for content, count in sorted(tokenizer.seen.items()))
        logger.warning(
            "%s: special tokens are written in the text (%s) and read as such, as they are everywhere; for"
            ' characters, set "split_special_tokens" in tokenizer_config.json',
            source,
            found,
        )
