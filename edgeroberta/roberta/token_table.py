"""The ids that the tokens of one tokenizer have in another, which lacks some of them.

A text is tokenized once where several models read it. The ids of a model with fewer tokens follow from
those of the full tokenizer where all tokens of the text are kept: :mod:`.token_selection` tells why. The
reasons hold for a tokenizer that was cut as it is done there; any other one has no ids of the table at all,
so that each text is tokenized again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import token_selection
from edgeroberta.roberta.config import load_object
from edgeroberta.roberta.tokenizerfile import UNIGRAM, WORDPIECE, TokenizerFile
from edgeroberta.storage.files import CONFIG, TOKENIZER, TOKENIZER_CONFIG

#: Settings of ``tokenizer_config.json`` that tokens hang on, see :mod:`edgeroberta.runtime.tokenizerfiles`.
_SETTINGS = (
    "add_prefix_space",
    "do_lower_case",
    "split_special_tokens",
    "strip_accents",
    "tokenize_chinese_chars",
    "truncation_side",
)

TokenIds = npt.NDArray[np.int32]


def same_tokenizer(folder: Path, other: Path) -> bool:
    """Tell whether two folders have one tokenizer, but for the length at which texts are cut."""
    first, second = (load_object(each / TOKENIZER) for each in (folder, other))
    return _without_length(first) == _without_length(second) and _same_settings(folder, other)


def of_cut(folder: Path, full: Path) -> TokenIds:
    """Return a model's own ids of another's tokens, int32 ``[V]``.

    ``folder``: the model with fewer tokens. ``full``: the one with V tokens. The id is -1 for those that it
    lacks, for those whose presence in a text does not tell how the model cuts it, and for all where the
    tokenizer is not one that :mod:`.vocabulary_cut` makes of the other.
    """
    found = np.full(load_object(full / CONFIG)["vocab_size"], -1, np.int32)
    if not _same_settings(folder, full):
        return found
    try:
        whole, cut = (TokenizerFile.read(each / TOKENIZER) for each in (full, folder))
        kept = _kept(cut, whole)
    except CheckpointError:  # of another kind, which no table fits
        return found
    found[kept] = np.arange(len(kept))
    if whole.kind == WORDPIECE and kept:
        # A word is unknown where its pieces lead nowhere; with fewer of them, others may lead on.
        found[whole.ids[whole.fields["model"]["unk_token"]]] = -1
    return found


def _kept(cut: TokenizerFile, whole: TokenizerFile) -> list[int]:
    """Return the ids that were kept, rising; none where it was not cut as is done here."""
    named = {whole.pieces[number] for number in whole.named}
    if not named <= cut.ids.keys() <= whole.ids.keys():
        return []
    kept = sorted(whole.ids[piece] for piece in cut.ids)
    same = _without_length(json.loads(whole.only(kept))) == _without_length(_as_written(cut))
    return kept if same and _is_closed(set(kept), whole) else []


def _as_written(file: TokenizerFile) -> dict[str, Any]:
    """Return the content of a file as it is once all its pieces are kept."""
    found: dict[str, Any] = json.loads(file.only(sorted(file.ids.values())))
    return found


def _is_closed(kept: set[int], whole: TokenizerFile) -> bool:
    """Tell whether all is there that the reasons of :mod:`.token_selection` ask for."""
    if not token_selection.single_characters(whole) <= kept:
        return False
    if whole.kind == UNIGRAM:
        lowest = min(whole.scores.values(), default=0.0)
        return any(whole.scores.get(number) == lowest for number in kept) and whole.byte_pieces <= kept
    made_of = token_selection.parts(whole)  # of BPE alone
    return all(made_of.get(number, set()) <= kept for number in kept)


def _without_length(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a ``tokenizer.json`` without the number of tokens at which it cuts texts."""
    found = {**fields, "truncation": dict(fields.get("truncation") or {}), "model": dict(fields["model"])}
    found["truncation"].pop("max_length", None)
    merges = found["model"].get("merges", ())  # older files write "a b", newer ones ["a", "b"]
    found["model"]["merges"] = [each.split(" ") if isinstance(each, str) else each for each in merges]
    return found


def _same_settings(folder: Path, other: Path) -> bool:
    files = [each / TOKENIZER_CONFIG for each in (folder, other)]
    first, second = (load_object(file) if file.is_file() else {} for file in files)
    return all(first.get(name) == second.get(name) for name in _SETTINGS)
