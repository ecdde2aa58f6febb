"""A model folder with some of another's tokens and positions alone: tokenizer, config and tables agree."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.roberta import checkpoint_validation, files, tablecopy
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import load_object
from edgeroberta.roberta.names import WORDS
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.runtime import token_numbers
from edgeroberta.storage.artifact import write_json, write_text
from edgeroberta.storage.files import CONFIG, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG
from edgeroberta.tasks import Problem

Ids = npt.NDArray[np.int64]

_ID_FIELD = "_token_id"


def rows(model: Checkpoint) -> int:
    """Return how many rows a model's word embeddings have; refuse other ones than the config tells."""
    config, words = model.config, model.tensor(WORDS)
    if words.shape != (config.vocab_size, config.hidden_size):
        stated = (config.vocab_size, config.hidden_size)
        raise checkpoint_validation.mismatch(WORDS, words.shape, stated, where=str(model))
    return config.vocab_size


def fixed_ids(model: Checkpoint) -> frozenset[int]:
    """Return the ids that have to stay for a model's config to make sense.

    They are those that the config names and the table has, and all below the padding token's: positions are
    counted from that one.
    """
    found = set(range(model.config.position_offset))
    for name, value in model.fields.items():
        if name.endswith(_ID_FIELD):
            found.update(value if isinstance(value, list) else [value])
    # some configs name -1, or ids of no token
    return frozenset(found.intersection(range(model.config.vocab_size)))


def write_tokenizer(file: TokenizerFile, destination: Path, kept: Ids) -> None:
    """Write a tokenizer with some of the pieces, and the files that transformers requires beside it.

    ``vocab.json``, ``merges.txt`` and ``sentencepiece.bpe.model`` are not copied: they say the same as the
    old ``tokenizer.json``. ``kept``: ids to keep, rising.
    """
    new = {int(old): number for number, old in enumerate(kept)}
    write_text(destination / TOKENIZER, file.only([int(old) for old in kept]))
    source = file.path.parent
    if (source / SPECIAL_TOKENS).is_file():  # names, no ids
        shutil.copyfile(source / SPECIAL_TOKENS, destination / SPECIAL_TOKENS)
    if (source / TOKENIZER_CONFIG).is_file():
        settings = load_object(source / TOKENIZER_CONFIG)
        added = settings.get("added_tokens_decoder")
        if isinstance(added, dict):
            settings["added_tokens_decoder"] = {
                str(new[int(old)]): token for old, token in added.items() if int(old) in new
            }
        write_json(destination / TOKENIZER_CONFIG, settings)


def write_model(source: Checkpoint, destination: Path, kept: Ids, *, max_length: int | None) -> None:
    """Write the config and the weights that go with a tokenizer that is there already.

    ``source``: checkpoint to cut from; any head, any shape of layers, any float type. ``destination``: folder
    to write into, with the tokenizer of :func:`write_tokenizer`. ``kept``: ids to keep, rising.
    ``max_length``: tokens to keep positions for, special tokens included; None keeps all. Raises
    CheckpointError: a file is damaged.
    """
    config = source.config
    kept_rows = dict.fromkeys(tablecopy.TOKEN_TABLES, kept)
    fields = _renumbered(source.fields, {int(old): number for number, old in enumerate(kept)})
    if max_length is not None:
        positions = config.position_offset + max_length
        kept_rows[tablecopy.POSITIONS] = np.arange(positions)
        fields["max_position_embeddings"] = positions
        _shorten(destination, max_length)
    if source.task.problem is Problem.MASKED:  # what it answers are ids
        before = fields.get(token_numbers.FIELD)
        fields[token_numbers.FIELD] = [each if before is None else before[each] for each in kept.tolist()]
    without = () if max_length is None else tablecopy.STORED_CONSTANTS
    tablecopy.copy(source, destination / files.WEIGHTS, kept_rows, without=without)
    write_json(destination / CONFIG, {**fields, "vocab_size": len(kept)})
    source.copy_modules(destination, source.task.sentence_embedding, max_length=max_length)


def _renumbered(fields: Mapping[str, Any], new: dict[int, int]) -> dict[str, Any]:
    """Return a config with every token id replaced; an id that no token has is left out."""
    changed = dict(fields)
    for name, value in fields.items():
        if not name.endswith(_ID_FIELD) or value is None:
            continue
        if isinstance(value, list):
            changed[name] = [new[each] for each in value if each in new]
        elif value in new:
            changed[name] = new[value]
        else:
            del changed[name]
    return changed


def _shorten(folder: Path, max_length: int) -> None:
    """Let a tokenizer cut texts where the positions end."""
    if (folder / TOKENIZER_CONFIG).is_file():
        settings = load_object(folder / TOKENIZER_CONFIG)
        write_json(folder / TOKENIZER_CONFIG, {**settings, "model_max_length": max_length})
    fields = load_object(folder / TOKENIZER)
    if fields.get("truncation"):
        fields["truncation"]["max_length"] = min(fields["truncation"]["max_length"], max_length)
        write_text(folder / TOKENIZER, TokenizerFile.text(fields))
