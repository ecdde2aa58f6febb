"""Words that a tokenizer could have as tokens of their own: how it reads them, and what that would save.

What a model is given is not the text but its *pre-tokens*: the parts that normalizer and pre-tokenizer make
of it, which the model alone cuts into pieces. A word can only become one token if it is one pre-token. It may
be several of them: over bytes it is another one at the start of a text or behind a bracket (``word``) than
behind a space (``Ġword``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.errors import UsageError, shown
from edgeroberta.roberta.tokenizerfile import BPE, UNIGRAM, TokenizerFile
from edgeroberta.roberta.word_beginnings import UNSPACED
from edgeroberta.runtime import tokenizerfiles

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.decoders import Decoder
    from tokenizers.normalizers import Normalizer
    from tokenizers.pre_tokenizers import PreTokenizer

# What may stand before a word in a sentence: another word and a space, or a bracket.
_BEFORE = ("a ", "(")
# Strings between spaces that are counted at a time, at some 200 bytes each; the rarest are dropped above it.
_MOST_STRINGS = 500_000
# Longer ones are no words: addresses, and texts of scripts without spaces.
_LONGEST = 60
_LETTERS = re.compile(r"[^\W\d_]+")
_SPACE = "▁"  # SentencePiece's mark of a space


@dataclass(frozen=True)
class NewPiece:
    """A piece that a tokenizer is to have, and what it cuts it into so far."""

    text: str  # as the model is given it
    parts: tuple[int, ...]  # ids of its pieces by the old vocabulary


@dataclass(frozen=True)
class Candidate:
    """A word with all its pre-tokens that are no token yet."""

    word: str
    pieces: tuple[NewPiece, ...]
    occurrences: int = 0  # of these pre-tokens in the texts
    saved: int = 0  # tokens that the texts have less once it is one


@dataclass(frozen=True)
class WordReader:
    """A tokenizer that tells how it reads words."""

    file: TokenizerFile

    @classmethod
    def open(cls, path: Path) -> WordReader:
        """Read a ``tokenizer.json``, with what ``tokenizer_config.json`` beside it overrules."""
        return cls(TokenizerFile.read(path))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return tokenizerfiles.read(self.file.path.parent)[0]

    @cached_property
    def _steps(self) -> tuple[Normalizer | None, PreTokenizer | None]:
        return self._tokenizer.normalizer, self._tokenizer.pre_tokenizer  # each time a new object

    @cached_property
    def _decoder(self) -> Decoder | None:
        return self._tokenizer.decoder if self.file.kind == BPE else None

    def pretokens(self, text: str) -> list[str]:
        """Return what the model is given of a text without added tokens."""
        normalizer, step = self._steps
        written = text if normalizer is None else normalizer.normalize_str(text)
        return [written] if step is None else [part for part, _ in step.pre_tokenize_str(written)]

    def pieces(self, pretoken: str) -> tuple[int, ...]:
        """Return the ids of what the model cuts a pre-token into."""
        return tuple(token.id for token in self._tokenizer.model.tokenize(pretoken))

    def is_token(self, word: str) -> bool:
        """Tell whether a word is one token behind a space, as most words of a sentence stand."""
        return self.pretokens(_BEFORE[0] + word)[-1] in self.file.ids

    def candidate(self, word: str, counts: Mapping[str, int]) -> Candidate:
        """Return a word as a candidate; without pieces where it is a token already, wherever it stands.

        ``counts``: occurrences of pre-tokens. Raises UsageError: it is a special token, or more than one
        pre-token.
        """
        forms = self._forms(word)
        found = [NewPiece(form, self.pieces(form)) for form in forms if form not in self.file.ids]
        occurrences = [counts.get(piece.text, 0) for piece in found]
        saved = sum(n * (len(piece.parts) - 1) for n, piece in zip(occurrences, found, strict=True))
        return Candidate(word, tuple(found), sum(occurrences), saved)

    def frequent(self, counts: Mapping[str, int], *, least: int, most: int) -> list[Candidate]:
        """Return the words that would save most tokens, in that order.

        ``counts``: occurrences of pre-tokens. ``least``: how often a word must occur. ``most``: how many
        words.
        """
        words = dict.fromkeys(self.word(pretoken) for pretoken in counts)
        found = []
        for word in words:
            try:
                each = self.candidate(word, counts)
            except UsageError:  # a part of a word that is never read by itself
                continue
            if each.occurrences >= least and each.saved:
                found.append(each)
        return sorted(found, key=lambda each: (-each.saved, each.word))[:most]

    def count(self, chunks: Iterable[Sequence[str]]) -> Counter[str]:
        """Count the pre-tokens of texts that are words, which begin with a letter.

        Of Unigram, whose pre-tokens end at spaces alone, the letters that they begin with are counted. This
        goes by what stands between white space, in constant memory: of more than half a million different
        strings the rarest are dropped on the way.
        """
        strings: Counter[str] = Counter()
        for chunk in chunks:
            strings.update(part for text in chunk for part in text.split() if len(part) <= _LONGEST)
            least = 1
            while len(strings) > _MOST_STRINGS:
                strings = Counter({part: count for part, count in strings.items() if count > least})
                least *= 2
        found: Counter[str] = Counter()
        for part, count in strings.items():
            for pretoken in self._words_of(part):
                found[pretoken] += count
        return found

    def word(self, pretoken: str) -> str:
        """Return a pre-token as people write it, without a space in front."""
        return self.text(pretoken).removeprefix(_SPACE if self.file.kind == UNIGRAM else " ")

    def text(self, pretoken: str) -> str:
        """Return a pre-token as it stands in a text: over bytes, its characters."""
        return pretoken if self._decoder is None else str(self._decoder.decode([pretoken]))

    def _words_of(self, part: str) -> Iterator[str]:
        """List the words in what stands between white space, behind a space."""
        if self.file.kind == UNIGRAM:  # its pre-tokens end at spaces alone, and a piece may end before
            for pretoken in self.pretokens(part):
                match = _LETTERS.match(pretoken, len(_SPACE))
                if match and pretoken.startswith(_SPACE):
                    yield pretoken[: match.end()]
            return
        for pretoken in self.pretokens(f" {part}"):
            if self.word(pretoken)[:1].isalpha():
                yield pretoken

    def _forms(self, word: str) -> tuple[str, ...]:
        """List the pre-tokens that a word may be."""
        if any(token["content"] == word for token in self.file.fields.get("added_tokens") or ()):
            raise UsageError(f"{shown(word)} is a token that the tokenizer keeps apart", hint="take it out")
        alone = self.pretokens(word)
        if len(alone) != 1:
            raise UsageError(
                f"{shown(word)} is {len(alone)} words to the tokenizer: {', '.join(map(self.word, alone))}",
                hint="list its parts, each on a line; only what it reads as one word can be one token",
            )
        found = [alone[0]]
        for before in _BEFORE:
            last = self.pretokens(before + word)[-1]
            # Unigram takes a bracket into the word, for which no piece is made.
            found += [last] if self.word(last) == self.word(alone[0]) else []
        if self.file.kind == UNIGRAM and UNSPACED.search(word):
            found.append(alone[0].removeprefix(_SPACE))
        return tuple(dict.fromkeys(found))


def distinct(words: Iterable[Candidate]) -> list[NewPiece]:
    """Return the new pieces of words, each once: two words may be one to a tokenizer of small letters."""
    return list({piece.text: piece for word in words for piece in word.pieces}.values())
