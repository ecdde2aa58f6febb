"""Where a text may be cut for BERT's tokenizers: at what stands between words whatever is on its two sides.

BERT's normalizer and pre-tokenizer look at one character after the other, but for accents, which are taken
off or left where they are; so blanks, ASCII punctuation and, where these are set apart, Chinese characters
end a word, and nothing behind them changes what is before. Control characters are taken out and join what is
beside them, so none of them counts as a blank.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BLANKS = frozenset(" \t\n\r\u00a0\u3000")
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def is_berts(tokenizer: Tokenizer, normalizer: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    """Tell whether it is BERT's: WordPiece over words of its own normalizer, or none, and pre-tokenizer.

    ``normalizer``, ``step``: settings of the tokenizer's normalizer and pre-tokenizer; empty where there is
    none.
    """
    from tokenizers import models

    return (
        isinstance(tokenizer.model, models.WordPiece)
        and step.get("type") == "BertPreTokenizer"
        and normalizer.get("type", "BertNormalizer") == "BertNormalizer"
    )


def last_border(text: str, start: int, end: int, *, chinese: bool) -> int | None:
    """Return the last place from ``end`` down to above ``start`` between two words; None where there is none.

    ``chinese``: whether each Chinese character is a word.
    """
    for place in range(min(end, len(text)), start, -1):
        sides = text[place - 1 : place + 1]
        if any(one in _BLANKS or one in _PUNCTUATION or (chinese and _is_chinese(one)) for one in sides):
            return place
    return None


def _is_chinese(character: str) -> bool:
    """Tell whether it is of the two large blocks, which Unicode's normal forms leave alone."""
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"
