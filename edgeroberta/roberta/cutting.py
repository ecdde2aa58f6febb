"""A model folder with some of another's tokens and positions alone: tokenizer, config and tables agree."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import tablecopy
from edgeroberta.roberta.config import DOWNLOAD, EncoderConfig, load_config, load_object
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.storage.artifact import write_json, write_text

Ids = npt.NDArray[np.int64]

TOKENIZER, SETTINGS, SPECIAL = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
_ID_FIELD = "_token_id"


def rows(folder: Path) -> int:
    """Return how many rows a model's word embeddings have.

    Args:
        folder: The model folder.

    Raises:
        CheckpointError: There are none, or other ones than the config tells.
    """
    config = EncoderConfig.from_dir(folder)
    words = tablecopy.entry(folder, tablecopy.WORDS)
    if words.shape != (config.vocab_size, config.hidden_size):
        raise CheckpointError(
            f"the word embeddings are {list(words.shape)}, config.json says "
            f"{[config.vocab_size, config.hidden_size]}",
            where=str(folder),
            hint=DOWNLOAD,
        )
    return config.vocab_size


def fixed_ids(folder: Path) -> frozenset[int]:
    """Return the ids that have to stay for a model's config to make sense.

    They are those that the config names and the table has, and all below the padding token's: positions are
    counted from that one.

    Args:
        folder: The model folder.

    Raises:
        CheckpointError: The config is missing or not a RoBERTa's.
    """
    config = EncoderConfig.from_dir(folder)
    found = set(range(config.position_offset))
    for name, value in load_config(folder).items():
        if name.endswith(_ID_FIELD):
            found.update(value if isinstance(value, list) else [value])
    return frozenset(found.intersection(range(config.vocab_size)))  # some configs name -1, or ids of no token


def write_tokenizer(file: TokenizerFile, destination: Path, kept: Ids) -> None:
    """Write a tokenizer with some of the pieces, and the files that transformers wants beside it.

    ``vocab.json``, ``merges.txt`` and ``sentencepiece.bpe.model`` are not copied: they say the same as
    the old ``tokenizer.json``.

    Args:
        file: The tokenizer.
        destination: Folder to write into.
        kept: Ids to keep, rising.

    Raises:
        CheckpointError: The pieces cannot be numbered anew.
    """
    new = {int(old): number for number, old in enumerate(kept)}
    write_text(destination / TOKENIZER, file.only([int(old) for old in kept]))
    source = file.path.parent
    if (source / SPECIAL).is_file():  # names, no ids
        shutil.copyfile(source / SPECIAL, destination / SPECIAL)
    if (source / SETTINGS).is_file():
        settings = load_object(source / SETTINGS)
        added = settings.get("added_tokens_decoder")
        if isinstance(added, dict):
            settings["added_tokens_decoder"] = {
                str(new[int(old)]): token for old, token in added.items() if int(old) in new
            }
        write_json(destination / SETTINGS, settings)


def write_model(source: Path, destination: Path, kept: Ids, *, max_length: int | None) -> None:
    """Write the config and the weights that go with a tokenizer that is there already.

    Args:
        source: Model folder to cut from; any head, any shape of layers, any float type.
        destination: Folder to write into, with the tokenizer of :func:`write_tokenizer`.
        kept: Ids to keep, rising.
        max_length: Tokens to keep positions for, special tokens included; None keeps all.

    Raises:
        CheckpointError: A file is damaged.
    """
    config = EncoderConfig.from_dir(source)
    kept_rows = dict.fromkeys(tablecopy.TOKEN_TABLES, kept)
    fields = _renumbered(load_config(source), {int(old): number for number, old in enumerate(kept)})
    if max_length is not None:
        positions = config.position_offset + max_length
        kept_rows[tablecopy.POSITIONS] = np.arange(positions)
        fields["max_position_embeddings"] = positions
        _shorten(destination, max_length)
    without = () if max_length is None else tablecopy.STORED_CONSTANTS
    tablecopy.copy(source, destination / tablecopy.FILE, kept_rows, without=without)
    write_json(destination / "config.json", {**fields, "vocab_size": len(kept)})


def _renumbered(fields: dict[str, Any], new: dict[int, int]) -> dict[str, Any]:
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
    if (folder / SETTINGS).is_file():
        settings = load_object(folder / SETTINGS)
        write_json(folder / SETTINGS, {**settings, "model_max_length": max_length})
    fields = load_object(folder / TOKENIZER)
    if fields.get("truncation"):
        fields["truncation"]["max_length"] = min(fields["truncation"]["max_length"], max_length)
        write_text(folder / TOKENIZER, TokenizerFile.text(fields))
