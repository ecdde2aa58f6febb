"""Into how many tokens a tokenizer cuts texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.roberta import corpus
from edgeroberta.runtime.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Fertility:
    """How many tokens texts are, special tokens aside."""

    tokens: int
    words: int  # what stands between white space
    characters: int

    @property
    def tokens_per_word(self) -> float:
        """Tokens for each word, the *fertility* (Rust et al., arXiv:2012.15613)."""
        return self.tokens / max(self.words, 1)

    @property
    def characters_per_token(self) -> float:
        """Characters for each token, where words have no spaces between them."""
        return self.characters / max(self.tokens, 1)


def measure(folder: Path, texts: Sequence[str]) -> Fertility:
    """Measure the tokenizer of a folder on texts."""
    tokenizer = TextTokenizer.open(folder, corpus.UNCUT)
    special = len(tokenizer.encode_one("").ids)
    tokens = sum(len(found.ids) - special for found in tokenizer.encode(texts))
    return Fertility(tokens, sum(len(text.split()) for text in texts), sum(map(len, texts)))
