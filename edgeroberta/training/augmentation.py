"""More texts to ask the teacher about: changed copies of the user's own, in whatever language.

After Tang et al. (arXiv:1903.12136): words are left out or exchanged, and some copies are cut to a few
words in a row. Theirs exchanges words for others of the same part of speech; here they are drawn by how
often they occur in the user's texts, letters for letters and signs for signs, which needs no tagger.
Nothing is said of the copies' labels: the teacher answers them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgeroberta.data.rows import Rows
from edgeroberta.storage.artifact import digest_value

#: Raised when the same settings make other copies; token files of former ones are then not used.
SCHEMA_VERSION = 1
#: Chances of Tang et al.: that a word is left out, that it is exchanged, that a copy is cut.
DROP, SWAP, CUT = 0.1, 0.1, 0.25
#: Longest run of words that a cut leaves.
LONGEST_RUN = 5
#: Copies made at once.
_CHUNK = 8192
#: Tries to make a copy that differs from its text.
_TRIES = 5
#: Scripts that put no space between words: each character counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
#: A character of such a script, a word, or a single sign, with the space before it.
_WORD = re.compile(rf"(\s*)(?:([{_UNSPACED}])|((?:(?![{_UNSPACED}])\w)+)|(.))", re.DOTALL)
_KINDS = 3


class _Pool:
    """Words of a corpus by kind, drawn as often as they occur."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter[str]() for _ in range(_KINDS)]
        for text in texts:
            for _, word, kind in _split(text):
                counts[kind][word] += 1
        self._words = [sorted(count) for count in counts]
        self._chances = [
            np.cumsum([count[word] for word in words], dtype=np.float64) / max(count.total(), 1)
            for count, words in zip(counts, self._words, strict=True)
        ]

    def draw(self, kind: int, random: np.random.Generator) -> str:
        """Return a word of a kind."""
        place = int(np.searchsorted(self._chances[kind], random.random(), side="right"))
        return self._words[kind][min(place, len(self._words[kind]) - 1)]


@dataclass(frozen=True, eq=False)
class AugmentedTexts:
    """Changed copies of texts, made as they are wanted; see :class:`edgeroberta.data.rows.Texts`.

    They are ``count`` copies of the first row, then of the second, and so on; none is empty. A text of
    one word may come back as it was.
    """

    rows: Rows  # the texts, or pairs; of a pair the first, the second or both are changed
    count: int  # copies of each, at least 1
    seed: int  # seed; a copy depends on it, the rows and the copy's own row and number

    def __len__(self) -> int:
        return len(self.rows) * self.count

    @property
    def source(self) -> str:
        """Where the texts come from that these are copies of."""
        return self.rows.source

    @property
    def units(self) -> int:
        """How many texts of a row are read one by one."""
        return self.rows.units

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides the copies (hex): the rows and the settings."""
        chances = [DROP, SWAP, CUT, LONGEST_RUN, _TRIES]
        return digest_value([SCHEMA_VERSION, self.rows.digest, self.count, self.seed, chances])

    def chunks(self) -> Iterator[Rows]:
        """Make the copies anew, some thousands at a time; the same each time."""
        pools = [_Pool(texts) for texts in (self.rows.texts, self.rows.pairs) if texts is not None]
        for start in range(0, len(self), _CHUNK):
            numbers = range(start, min(start + _CHUNK, len(self)))
            made = [self._copy(*divmod(number, self.count), pools) for number in numbers]
            texts = tuple(first for first, _ in made)
            pairs = None if self.rows.pairs is None else tuple(second for _, second in made)
            yield Rows(texts, pairs, None, self.source, self.rows.apart)

    def _copy(self, row: int, copy: int, pools: Sequence[_Pool]) -> tuple[str, str]:
        """Make one copy; its second text is empty where the rows are single texts."""
        random = np.random.default_rng([self.seed, row, copy])
        first = self.rows.texts[row]
        if self.rows.pairs is None:
            return _changed(first, pools[0], random), ""
        second, which = self.rows.pairs[row], int(random.integers(3))
        first = _changed(first, pools[0], random) if which != 1 else first
        return first, _changed(second, pools[1], random) if which != 0 else second


def _changed(text: str, pool: _Pool, random: np.random.Generator) -> str:
    words = _split(text)
    for _ in range(_TRIES):
        made = _once(words, pool, random)
        if made != text.strip():
            break
    return made


def _once(words: list[tuple[str, str, int]], pool: _Pool, random: np.random.Generator) -> str:
    if len(words) > 1 and random.random() < CUT:
        length = int(random.integers(1, min(LONGEST_RUN, len(words) - 1) + 1))
        start = int(random.integers(len(words) - length + 1))
        words = words[start : start + length]
    fate: npt.NDArray[np.float64] = random.random(len(words))
    if (fate < DROP).all():
        fate[random.integers(len(words))] = 1.0  # something must be left
    parts = [
        space + (pool.draw(kind, random) if chance < DROP + SWAP else word)
        for (space, word, kind), chance in zip(words, fate, strict=True)
        if chance >= DROP
    ]
    return "".join(parts).strip()


def _split(text: str) -> list[tuple[str, str, int]]:
    """Cut a text into words: the space before each, the word, and its kind (0 to 2)."""
    found = []
    for space, character, word, sign in _WORD.findall(text.rstrip()):
        kind = 0 if character else 1 if word else 2
        found.append((space, character or word or sign, kind))
    return found
