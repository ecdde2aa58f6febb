"""Texts with masks to measure on: one token of each text is masked, seeded by the text.

A mask is written into the text, as a user writes it, and kept only where the tokenizer then gives the same
tokens as before with one of them masked. So it is a token in its place, with all else as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeroberta.data import mask_words
from edgeroberta.data.mask_words import MaskedText
from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError
from edgeroberta.runtime import mask_token
from edgeroberta.runtime.encoding import Encoding
from edgeroberta.runtime.mask_token import MaskToken
from edgeroberta.runtime.token_numbers import TokenNumbers
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.outputs import END, START, WORD, MaskedTokens

#: Only tokens before this one are masked: as far as training reads a text where nobody says otherwise.
FIRST_TOKENS = 128
#: Tokens of a text that are tried; the first one fits as a rule.
_TRIES = 16


@dataclass(frozen=True, eq=False)
class WrittenMasks:
    """Masks that the data brings along, by row; the rows' texts have their words filled in."""

    rows: tuple[MaskedText | None, ...]  # None where a text has no mask

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Sequence[int]) -> WrittenMasks:
        return WrittenMasks(tuple(self.rows[row] for row in chosen))


@dataclass(frozen=True)
class MaskReader:
    """A model's tokenizer and its mask token."""

    tokenizer: TextTokenizer
    token: MaskToken
    numbers: TokenNumbers | None = None  # original ids of its tokens, where its vocabulary was cut

    @classmethod
    def open(cls, folder: Path, max_length: int) -> MaskReader:
        """Read the tokenizer of a model folder; ``max_length``: tokens that the model takes."""
        tokenizer, token = TextTokenizer.open(folder, max_length), mask_token.find(folder)
        return cls(tokenizer, token, TokenNumbers.read(folder))

    @classmethod
    def of(cls, task: Task, folder: Path, max_length: int) -> MaskReader | None:
        """Read it where the task is one of masked words; None for others."""
        return cls.open(folder, max_length) if task.problem is Problem.MASKED else None

    def plain(self, rows: Rows) -> Rows:
        """Return rows to train on: texts without masks and labels."""
        return Rows(rows.texts, None, None, rows.source)

    def masked(self, rows: Rows, *, seed: int, tell: Callable[[str], None]) -> Rows:
        """Return rows to measure on: texts with masks, and the true tokens as labels.

        ``rows``: texts whose labels are :class:`WrittenMasks`. ``seed``: which tokens are masked depends on
        it and on the text alone. ``tell``: called with a line where texts are left out. Raises DataError: no
        text is left.
        """
        written = rows.labels.rows if isinstance(rows.labels, WrittenMasks) else (None,) * len(rows)
        drawn = self._drawn([text for text, mask in zip(rows.texts, written, strict=True) if not mask], seed)
        left = iter(drawn)
        found = [mask or next(left) for mask in written]
        kept = [each for each in found if each is not None]
        if not kept:
            raise DataError(
                "no text is left to measure on: none has a token that can be masked",
                where=rows.source,
                hint="give texts of several words",
                code="data.mask",
            )
        if len(kept) < len(found):
            tell(
                f"{rows.source}: {len(found) - len(kept):,} of {len(found):,} texts are not measured on:"
                " no token of theirs can be masked"
            )
        labels = MaskedTokens.pack([np.array(each.tokens, np.int64) for each in kept])
        columns = rows.select([row for row, each in enumerate(found) if each is not None]).columns
        return Rows(tuple(each.text for each in kept), None, labels, rows.source, columns=columns)

    def _drawn(self, texts: Sequence[str], seed: int) -> list[MaskedText | None]:
        """Mask one token of each text; None where none can be."""
        encodings = self.tokenizer.encode(texts, places=True)
        orders = [self._candidates(text, one, seed) for text, one in zip(texts, encodings, strict=True)]
        found: list[MaskedText | None] = [None] * len(texts)
        for attempt in range(_TRIES):
            open_rows = [
                row for row, order in enumerate(orders) if found[row] is None and attempt < len(order)
            ]
            if not open_rows:
                break
            places = [int(orders[row][attempt]) for row in open_rows]
            tried = [
                self._put(texts[row], encodings[row], place)
                for row, place in zip(open_rows, places, strict=True)
            ]
            for row, place, text, one in zip(
                open_rows, places, tried, self.tokenizer.encode(tried), strict=True
            ):
                wanted = encodings[row].ids.copy()
                token, wanted[place] = int(wanted[place]), self.token.id
                if np.array_equal(one.ids, wanted):
                    found[row] = MaskedText(text, mask_words.original((token,), self.numbers))
        return found

    def _candidates(self, text: str, encoding: Encoding, seed: int) -> npt.NDArray[np.int64]:
        """Return the tokens that may be masked, in the order in which they are tried."""
        assert encoding.places is not None
        ids, places = encoding.ids[:FIRST_TOKENS], encoding.places[:FIRST_TOKENS]
        ordinary = ~np.isin(ids, np.fromiter(self.token.special, np.int64))
        real = (places[:, WORD] >= 0) & (places[:, END] > places[:, START]) & ordinary
        digest = hashlib.sha256(text.encode()).digest()[:8]
        random = np.random.default_rng([seed, int.from_bytes(digest, "little")])
        return random.permutation(np.flatnonzero(real))

    def _put(self, text: str, encoding: Encoding, place: int) -> str:
        """Write the mask over one token, but not over the space before it, which is the mask's, too."""
        assert encoding.places is not None
        start, end = int(encoding.places[place, START]), int(encoding.places[place, END])
        start += len(text[start:end]) - len(text[start:end].lstrip())
        return text[:start] + self.token.text + text[end:]
