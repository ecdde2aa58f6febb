"""Token ids of words that were met before, looked up with numpy: many times faster than tokenizing again.

A text is cut where its tokens are certain not to cross, whatever stands on both sides, so that the tokens of
a text are those of its parts in a row. Such a place is before a space that follows a visible character:
byte-level BPE (RoBERTa) and WordPiece (BERT) both begin a word there. Over bytes it is also between letters,
digits and punctuation, but not behind an apostrophe (``'s``) nor beside a character beyond ASCII; of
WordPiece, before and behind every ASCII punctuation mark. Nowhere is it between two bytes that are neighbours
in an added token. What is met for the first time is tokenized by the package itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeroberta.runtime import prefixes, wordpieces
from edgeroberta.training import word_table
from edgeroberta.training.word_table import Indices, WordTable, filled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Most words that are kept, some 60 MB; when there are more, all are forgotten.
_MOST = 1 << 20
_VISIBLE = range(0x21, 0x7F)
_SPACE, _APOSTROPHE = 0x20, 0x27


class WordMemo:
    """Tokenizes texts by their words; ``apart``: bool[256 * 256], between which bytes a text is cut."""

    def __init__(self, tokenizer: Tokenizer, dtype: np.dtype[Any], apart: npt.NDArray[np.bool_]) -> None:
        self._tokenizer = tokenizer
        self._apart = apart
        self._words = WordTable()
        self._ids = np.zeros(1 << 16, dtype)
        #: of each word, how many ids it has, and where they are; behind those of the table are long ones
        self._counts, self._offsets = np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.int64)

    @classmethod
    def of(cls, tokenizer: Tokenizer, dtype: np.dtype[Any]) -> WordMemo | None:
        """Make one; None for a tokenizer of which it is not known where its texts can be cut."""
        added = [token for token in tokenizer.get_added_tokens_decoder().values() if token.content]
        if tokenizer.encode_special_tokens:  # those are characters like any other then
            added = [token for token in added if not token.special]
        # One that looks at what is beside it, and one that is found in what a normalizer makes of a text.
        if any(token.rstrip or token.single_word or _has_space(token.content) for token in added):
            return None
        if tokenizer.normalizer is not None and any(token.normalized for token in added):
            return None
        states = prefixes.state(tokenizer.normalizer), prefixes.state(tokenizer.pre_tokenizer)
        contents = [token.content.encode() for token in added]
        if prefixes.is_byte_level(tokenizer) and not states[1].get("add_prefix_space"):
            return cls(tokenizer, dtype, _table(contents, byte_level=True))
        if wordpieces.is_berts(tokenizer, *states):
            return cls(tokenizer, dtype, _table(contents, byte_level=False))
        return None

    def __len__(self) -> int:
        return len(self._words)

    def encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[Any], Indices]:
        """Return the ids of texts, one after the other, and how many each has, int64[texts].

        ``texts``: some 100 kB, none empty.
        """
        data = "".join(texts).encode()
        sizes = [len(text) if text.isascii() else len(text.encode()) for text in texts]
        begins = np.cumsum([0, *sizes[:-1]])
        starts = self._cut(data, begins)
        numbers = self._numbers(data, starts)
        counts = self._counts[numbers]
        ends = np.cumsum(counts)
        places = np.arange(int(ends[-1])) + np.repeat(self._offsets[numbers] - ends + counts, counts)
        return self._ids[places], np.add.reduceat(counts, np.searchsorted(starts, begins))

    def _cut(self, data: bytes, begins: Indices) -> Indices:
        """Return where the words begin, int64[words]; ``begins``: where the texts do."""
        cut = np.zeros(len(data), bool)
        cut[1:] = self._apart.take(np.ndarray((len(data) - 1,), "<u2", data, strides=(1,)))
        if not data.isascii():
            cut[_behind_foreign(np.frombuffer(data, np.uint8))] = True
        cut[begins] = True
        return np.flatnonzero(cut)

    def _numbers(self, data: bytes, starts: Indices) -> Indices:
        """Return the number of each word, int64[words]; new ones are tokenized."""
        sizes = np.diff(starts, append=len(data))
        keys = word_table.keys_of(data, starts, sizes)
        found = self._words.find(keys)
        long = sizes > word_table.LONGEST
        found[long] = -1
        missing = np.flatnonzero(found < 0)
        if not len(missing):
            return found
        bounds = zip(starts[missing].tolist(), (starts + sizes)[missing].tolist(), strict=True)
        words = [data[start:stop] for start, stop in bounds]
        fresh = {word: number for number, word in enumerate(sorted(dict.fromkeys(words), key=_is_long))}
        if len(self._words) and len(self._words) + len(fresh) > _MOST:
            self._words = WordTable()
            return self._numbers(data, starts)
        self._tokenize(list(fresh))
        found[missing] = len(self._words) + np.fromiter((fresh[word] for word in words), np.int64, len(words))
        short = missing[~long[missing]]
        _, once = np.unique(found[short], return_index=True)
        self._words.add([part[short[once]] for part in keys])
        return found

    def _tokenize(self, words: list[bytes]) -> None:
        """Write ids of words behind those that are kept; the long ones, which are last, are not for long."""
        found = self._tokenizer.encode_batch_fast([word.decode() for word in words], add_special_tokens=False)
        ids = [np.array(one.ids, self._ids.dtype) for one in found]
        counts = np.fromiter(map(len, ids), np.int64, len(ids))
        number = len(self._words)
        start = int(self._offsets[number])
        self._counts = filled(self._counts, counts, number)
        self._offsets = filled(self._offsets, start + np.cumsum(counts), number + 1)
        self._ids = filled(self._ids, np.concatenate(ids), start)


def _has_space(text: str) -> bool:
    return any(map(str.isspace, text))


def _is_long(word: bytes) -> bool:
    return len(word) > word_table.LONGEST


def _table(added: Sequence[bytes], *, byte_level: bool) -> npt.NDArray[np.bool_]:
    """Tell between which two bytes a text is cut, bool[65536] by first + 256 * second.

    ``added``: the added tokens, inside of which none is cut.
    """
    apart = np.zeros((256, 256), bool)  # second, first
    apart[_SPACE, _VISIBLE] = True
    kinds = {byte: _kind(chr(byte)) for byte in _VISIBLE}
    for first, one in kinds.items():
        for second, other in kinds.items():
            if byte_level:
                apart[second, first] = one != other and not (first == _APOSTROPHE and other == "letter")
            else:
                apart[second, first] = "mark" in (one, other)
    for content in added:
        for first, second in itertools.pairwise(content):
            apart[second, first] = False
    return apart.ravel()


def _kind(character: str) -> str:
    return "letter" if character.isalpha() else "digit" if character.isdigit() else "mark"


def _behind_foreign(data: npt.NDArray[np.uint8]) -> Indices:
    """Return the places of spaces behind a character beyond ASCII that is certain not to be white space.

    Of such characters with two bytes, only those that begin with 0xC2 can be white space, and of those with
    three only those that begin with 0xE1 to 0xE3.
    """
    spaces = np.flatnonzero(data == _SPACE)
    spaces = spaces[data[spaces - 1] >= 0x80]
    second, third = data[spaces - 2], data[spaces - 3]
    known = ((second >= 0xC3) & (second <= 0xDF)) | (
        (second >= 0x80) & (second < 0xC0) & (third >= 0xE4) & (third < 0xF0)
    )
    return spaces[known]
