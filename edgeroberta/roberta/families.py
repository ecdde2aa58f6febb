"""Families of encoders: what tells them apart from one another, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Models of one ``model_type``."""

    name: str  # what such a model is called in prose
    classes: str  # how its classes in transformers begin
    prefix: str  # what stands before an encoder's names in a model with a head
    positions_after_padding: (
        bool  # whether positions are counted from above the padding token's id, else from 0
    )
    token_types: bool  # whether the second text of a pair is of another token type than the first
    pad_token_id: int = 1  # id of the padding token where the config does not tell it


#: Families with RoBERTa's architecture, by their ``model_type``.
FAMILIES: Mapping[str, Family] = {
    "roberta": Family("RoBERTa", "Roberta", "roberta.", True, False),
    "xlm-roberta": Family("XLM-RoBERTa", "XLMRoberta", "roberta.", True, False),
    "camembert": Family("CamemBERT", "Camembert", "roberta.", True, False),
    "bert": Family("BERT", "Bert", "bert.", False, True, pad_token_id=0),
}
#: What may stand before an encoder's names.
PREFIXES = tuple(dict.fromkeys(family.prefix for family in FAMILIES.values()))


def named(name: str) -> tuple[str, ...]:
    """Return the names that a tensor of this bare name may have."""
    return (*(prefix + name for prefix in PREFIXES), name)


def bare(name: str) -> str:
    """Return a tensor's name without the encoder's prefix."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name
