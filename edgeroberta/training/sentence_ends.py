"""Where sentences end, told from token ids by tables over the vocabulary, so that packing reads no text.

A sentence ends behind ``.``, ``!`` or ``?`` where the next token begins a word, and behind ``。``, ``！``
or ``？`` wherever they stand; closing quotes and brackets still belong to it. Abbreviations that stand before
names (``Mr.``) and initials end none. Pieces of a byte-level vocabulary may be parts of a Chinese character,
so that the last bytes of neighbours are put together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Bools = npt.NDArray[np.bool_]

#: Marks behind which a sentence ends if a new word begins, and those behind which it always does.
_SPACED, _SPACELESS = ".!?…", "。！？｡"
_CLOSING = "\"')]}»”’」』）】》〉"
#: Words that an English full stop follows inside a sentence.
_NAMED = ("Mr", "Mrs", "Ms", "Dr", "Prof", "St", "vs", "Gen", "Capt", "Sgt", "Lt")
_ABBREVIATIONS = {*_NAMED, *map(str.casefold, _NAMED), *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"} - {"I"}
#: Tokens behind a mark that belong to it, as in ``?!"``.
_MOST_FOLLOW = 4
_CHINESE = "\u2e80"  # from here on
_SPACE = "▁"  # how Unigram writes it


@dataclass(frozen=True, eq=False)
class SentenceEnds:
    """What each token of a vocabulary says of the end of sentences; all arrays are [tokens]."""

    tail: npt.NDArray[np.uint64]  # its last three bytes, or fewer
    size: npt.NDArray[np.uint64]  # bytes of the token, 3 at most
    part: Bools  # whether it is the end of a character of several bytes, and less than that
    marks: Bools  # whether it ends with a mark
    spaceless: Bools  # whether it ends with a mark that needs no space behind it
    follows: Bools  # whether it belongs to a mark before it: closing quotes and brackets, or another mark
    begins: Bools  # whether it begins a word
    abbreviates: Bools  # whether a full stop behind it belongs to it

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> SentenceEnds:
        """Read the vocabulary of a tokenizer: bytes (RoBERTa), Unigram (XLM-R) or WordPiece (BERT)."""
        texts = _texts(tokenizer)
        words = [text.decode("utf-8", "ignore") for text in texts]
        last = [word.rstrip(_CLOSING)[-1:] or "-" for word in words]
        follows = [word != "" and not word.strip(_CLOSING + _SPACED + _SPACELESS) for word in words]
        # A tag of HTML may follow a sentence, and in Chinese a character; XLM-R reads ！ as !.
        begins = [word[:1].isspace() or word[:1] == "<" or word[:1] >= _CHINESE for word in words]
        if type(tokenizer.model).__name__ == "WordPiece":
            begins = [not (word.startswith("##") or on) for word, on in zip(words, follows, strict=True)]
        return cls(
            tail=np.array([int.from_bytes(text[-3:], "big") for text in texts], np.uint64),
            size=np.array([min(len(text), 3) for text in texts], np.uint64),
            part=_bools(0 < len(text) < 3 and text[-1] & 0xC0 == 0x80 for text in texts),
            marks=_bools(mark in _SPACED + _SPACELESS for mark in last),
            spaceless=_bools(mark in _SPACELESS for mark in last),
            follows=_bools(follows),
            begins=_bools(begins),
            abbreviates=_bools(word.strip() in _ABBREVIATIONS for word in words),
        )

    def of_ids(self, ids: npt.NDArray[Any], first: Bools) -> Bools:
        """Tell with which tokens a sentence ends.

        ``ids``: int[n], the tokens of documents, one after the other. ``first``: bool[n], which of them begin
        a document. Returns bool[n], which are the last ones of sentences, the last of each document included.
        """
        last = len(ids) - 1
        found = np.zeros(len(ids), bool)
        found[:-1] = first[1:]
        found[-1:] = True
        places = np.flatnonzero(self.marks[ids])
        whole = self.spaceless[ids[places]]
        written = self._marks_of_parts(ids)
        places, whole = (
            np.concatenate([places, written]),
            np.concatenate([whole, np.ones(len(written), bool)]),
        )
        stands = whole | (places == 0) | ~self.abbreviates[ids[places - 1]]
        places, whole = places[stands], whole[stands]
        for _ in range(_MOST_FOLLOW):
            behind = np.minimum(places + 1, last)
            places = np.where(self.follows[ids[behind]] & ~first[behind], behind, places)
        behind = np.minimum(places + 1, last)
        found[places[whole | self.begins[ids[behind]]]] = True
        return found

    def _marks_of_parts(self, ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the last tokens of marks that are written in several, int64[marks]."""
        places = np.flatnonzero(self.part[ids])
        tail, size = self.tail[ids[places]], self.size[ids[places]]
        for back in (1, 2):  # a mark has three bytes
            before = ids[np.maximum(places - back, 0)]
            tail = np.where(size < 3, tail | self.tail[before] << (np.uint64(8) * size), tail)
            size = np.where(size < 3, size + self.size[before], size)
        return places[np.isin(tail & np.uint64(0xFFFFFF), _codes())]


@cache
def _codes() -> npt.NDArray[np.uint64]:
    return np.array([int.from_bytes(mark.encode(), "big") for mark in _SPACELESS], np.uint64)


def _bools(values: Iterable[bool]) -> Bools:
    return np.fromiter(values, bool)


def _texts(tokenizer: Tokenizer) -> list[bytes]:
    """Return what each token stands for, UTF-8."""
    kind = type(tokenizer.model).__name__
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    texts = [b""] * (max(vocabulary.values(), default=-1) + 1)
    added = set(tokenizer.get_added_tokens_decoder())
    of_byte = {character: byte for byte, character in byte_characters().items()}
    for text, token in vocabulary.items():
        if token not in added and kind == "BPE" and all(character in of_byte for character in text):
            texts[token] = bytes(of_byte[character] for character in text)
        else:
            texts[token] = text.replace(_SPACE, " ").encode()
    return texts


@cache
def byte_characters() -> dict[int, str]:
    """Return the character that byte-level BPE writes for each byte (GPT-2, ``bytes_to_unicode``)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(others)}
