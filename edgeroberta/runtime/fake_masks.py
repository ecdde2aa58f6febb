"""A fake's tokens for masks, from a table."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeroberta.errors import UsageError, shown
from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.mask_token import USUAL
from edgeroberta.runtime.session import Ids, Logits
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.masked import TOP_K

#: Ids as RoBERTa has them; pieces of texts are numbered from above.
_BEGIN, _END, _MASK, _FIRST = 0, 2, 4, 5
#: A mask with the space that it swallows, as a token with ``lstrip`` does.
_MASKS = re.compile(rf"( ?(?:{'|'.join(map(re.escape, USUAL))}))")
#: Probability of the token that was given, and of each of the others.
_SURE, _RARE = 0.9, 0.01


def parts(answers: Mapping[Input, Any]) -> tuple[Task, FakeMaskTokenizer, FakeMaskSession]:
    """Make task, tokenizer and session; ``answers``: text to a word, or a list of them, one for each mask."""
    task = Task(Problem.MASKED, (), dimensions=2 * TOP_K, mask_id=_MASK)
    tokenizer = FakeMaskTokenizer()
    return task, tokenizer, FakeMaskSession(tokenizer, answers)


class FakeMaskTokenizer:
    """Gives each distinct part of a text between masks an id; a word that fills one begins with a space."""

    def __init__(self) -> None:
        self.max_length = 512
        self._numbers: dict[str, int] = {}
        self._pieces: dict[int, str] = {}
        self._numbering = threading.Lock()

    def number(self, piece: str) -> int:
        """Return the id of a part of a text."""
        with self._numbering:
            number = self._numbers.setdefault(piece, len(self._numbers) + _FIRST)
            self._pieces[number] = piece
        return number

    def encode_one(self, item: Input, *, places: bool = False) -> Encoding:
        """Encode a text."""
        found = [piece for piece in _MASKS.split(str(item)) if piece]
        ids = [_MASK if _MASKS.fullmatch(piece) else self.number(piece) for piece in found]
        ends = np.cumsum([len(piece) for piece in found], dtype=np.int64)
        where = np.full((len(ids) + 2, 3), -1, np.int64)
        where[1:-1] = np.stack([ends - [len(piece) for piece in found], ends, np.arange(len(ids))], axis=1)
        return Encoding(np.array([_BEGIN, *ids, _END], np.int64), False, where)

    def encode(self, inputs: Sequence[Input], *, places: bool = False) -> list[Encoding]:
        """Encode several texts."""
        return [self.encode_one(item, places=places) for item in inputs]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Put the parts together again."""
        special = {} if skip_special_tokens else {_BEGIN: "<s>", _END: "</s>", _MASK: USUAL[0]}
        return "".join(special.get(number) or self._pieces.get(number, "") for number in ids)


class FakeMaskSession:
    """Answers from a table of the words behind masks."""

    name = "fake"
    version = "0"

    def __init__(self, tokenizer: FakeMaskTokenizer, answers: Mapping[Input, Any]) -> None:
        self._others = [tokenizer.number(f" other{number}") for number in range(1, TOP_K)]
        self._unknown = tokenizer.number(" something")
        self._known: dict[tuple[int, ...], list[int]] = {}
        for item, answer in answers.items():
            ids = tokenizer.encode_one(item).ids.tolist()
            words, masks = [answer] if isinstance(answer, str) else list(answer), ids.count(_MASK)
            if not masks or len(words) not in (1, masks) or not all(isinstance(word, str) for word in words):
                what = f"{shown(item)} has {masks} masks, and {shown(answer)} fills {len(words)}"
                raise UsageError(what, where="answers", hint='e.g. {"The <mask> is red.": "car"}')
            chosen = [tokenizer.number(f" {word.strip()}") for word in words]
            self._known[tuple(ids)] = chosen * (masks if len(chosen) == 1 else 1)

    def padded_length(self, length: int) -> int:
        """Return ``length``."""
        return length

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Look the words up, float32 [masks, 2 k]."""
        rows = []
        for ids in input_ids.tolist():
            given = self._known.get(tuple(ids), [self._unknown] * ids.count(_MASK))
            rows += [[*_SCORES, token, *self._others] for token in given]
        return np.array(rows, np.float32).reshape(-1, 2 * TOP_K)

    def close(self) -> None:
        """Do nothing."""


_SCORES = np.log([_SURE, *[_RARE] * (TOP_K - 1)]).tolist()
