"""The token that stands for a masked word: how a text has it, and its id."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import CheckpointError
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: How the families write it: RoBERTa, XLM-R and CamemBERT the first, BERT the second.
USUAL = ("<mask>", "[MASK]")
_FIELD = "mask_token"


@dataclass(frozen=True)
class MaskToken:
    """A tokenizer's mask token."""

    id: int
    text: str  # as it is written in a text
    #: ids of all tokens that stand for no part of a word, such as ``</s>``, this one included
    special: frozenset[int] = field(default=frozenset(), compare=False)


def find(folder: Path) -> MaskToken:
    """Find the mask token of a model folder or a bundle.

    It is the one that ``tokenizer_config.json`` names, else ``special_tokens_map.json``, else the usual one
    that the tokenizer has. Raises CheckpointError: the tokenizer has none, or cuts it like a word;
    BundleError: it is not readable.
    """
    tokenizer, _ = tokenizerfiles.read(folder)
    for text in (*_stated(folder), *USUAL):
        number = _special_id(tokenizer, text)
        if number is not None:
            _require_whole(tokenizer, text, number, folder)
            return MaskToken(number, text, frozenset(tokenizer.get_added_tokens_decoder()))
    raise CheckpointError(
        "the tokenizer has no mask token, so there is nothing that stands for a masked word",
        where=str(folder / TOKENIZER),
        hint="name a model that was trained to fill masks, with its own tokenizer",
        code="checkpoint.no-mask",
    )


def _require_whole(tokenizer: Tokenizer, text: str, number: int, folder: Path) -> None:
    """Refuse a tokenizer that cuts the mask token like any word where it stands in a text."""
    if number not in tokenizer.encode(text, add_special_tokens=False).ids:
        raise CheckpointError(
            f"the tokenizer reads {text} in a text as characters, so no mask can be written",
            where=str(folder / TOKENIZER_CONFIG),
            hint='take "split_special_tokens": true out of it',
            code="checkpoint.no-mask",
        )


def _stated(folder: Path) -> list[str]:
    """Return what the files beside the tokenizer call it; nothing where they say nothing."""
    found: list[str] = []
    for name in (TOKENIZER_CONFIG, SPECIAL_TOKENS):
        file = folder / name
        if not file.is_file():
            continue
        try:
            fields = jsontext.loads(file.read_bytes())
        except ValueError as error:
            raise CheckpointError(f"not JSON ({error})", where=str(file)) from error
        stated: Any = fields.get(_FIELD) if isinstance(fields, dict) else None
        text = stated.get("content") if isinstance(stated, dict) else stated
        found += [text] if isinstance(text, str) and text else []
    return found


def _special_id(tokenizer: Tokenizer, text: str) -> int | None:
    """Return the id of a special token; None where the text is none, which would be cut into words."""
    number = tokenizer.token_to_id(text)
    added = tokenizer.get_added_tokens_decoder()
    return number if number in added and added[number].content == text else None
