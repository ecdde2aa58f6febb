"""The rows of a model's tables for a vocabulary learned from texts, and a config that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import bpe_training
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.families import FAMILIES
from edgeroberta.roberta.new_words import WordReader
from edgeroberta.roberta.row_means import RowMeans
from edgeroberta.roberta.tokenizerfile import BPE

_ID_FIELD = "_token_id"
_UNKNOWN = "<unk>"
_SPECIAL = (*bpe_training.FIRST, bpe_training.MASK)


def check(model: Checkpoint) -> None:
    """Refuse a model whose positions or special tokens are not RoBERTa's; CheckpointError."""
    family = FAMILIES[model.config.family]
    if not family.positions_after_padding or model.config.pad_token_id != 1:
        raise CheckpointError(
            f"a tokenizer like RoBERTa's has its padding at 1, and this is a {family.name} with its own at"
            f" {model.config.pad_token_id}",
            where=str(model.config_file),
            hint="start from a model of RoBERTa's family; or add words: tokenizer: {vocabulary: extend}",
        )


def row_sources(reader: WordReader, vocabulary: Mapping[str, int]) -> tuple[RowMeans, int]:
    """Tell which old rows each row of the new tables is the mean of.

    A token that the old vocabulary has keeps its row, another one gets the mean of the old pieces of its
    characters; one that has none, as half of a character, that of the unknown token. ``reader``: the old
    tokenizer. ``vocabulary``: ids of the new pieces. Returns the rows, and how many tokens keep theirs.
    """
    old, pieces = reader.file.ids, sorted(vocabulary, key=lambda each: vocabulary[each])
    unknown = (old.get(_UNKNOWN, 0),)
    parts = _of_bytes if _has_bytes(reader) else _of_text
    found = [(old[each],) if each in _SPECIAL and each in old else parts(reader, each) for each in pieces]
    kept = sum(len(each) == 1 for each in found) + (_UNKNOWN in old)
    return RowMeans.of(each or unknown for each in found), kept - sum(each == unknown for each in found)


def config(model: Checkpoint, reader: WordReader, vocabulary: Mapping[str, int]) -> dict[str, Any]:
    """Return a config whose ids are those of the new tokenizer; an id that no token has is left out."""
    fields = {name: value for name, value in model.fields.items() if not name.endswith(_ID_FIELD)}
    for name, value in model.fields.items():
        if name.endswith(_ID_FIELD) and isinstance(value, int):
            number = vocabulary.get(reader.file.pieces.get(value, ""))
            fields |= {} if number is None else {name: number}
    if "tokenizer_class" in fields:
        fields["tokenizer_class"] = "RobertaTokenizer"
    return {**fields, **bpe_training.SPECIAL_IDS}


def _has_bytes(reader: WordReader) -> bool:
    """Tell whether the old pieces are over bytes, too, so that one of the same name is the same."""
    from tokenizers import pre_tokenizers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return reader.file.kind == BPE and all(byte in reader.file.ids for byte in alphabet)


def _of_bytes(reader: WordReader, piece: str) -> tuple[int, ...]:
    """Return the old piece of that name, else the pieces over bytes that it is cut into."""
    number = reader.file.ids.get(piece)
    return reader.pieces(piece) if number is None else (number,)


def _of_text(reader: WordReader, piece: str) -> tuple[int, ...]:
    """Return the old pieces of the text of a piece over bytes; none where it is no whole character."""
    from tokenizers import decoders

    text = str(decoders.ByteLevel().decode([piece]))
    if "\ufffd" in text:
        return ()
    unknown = reader.file.ids.get(_UNKNOWN)
    numbers = (number for part in reader.pretokens(text) for number in reader.pieces(part))
    return tuple(number for number in numbers if number != unknown)
