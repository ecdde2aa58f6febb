"""Ids of the tokens of a model whose vocabulary was cut, and those that they had before.

What is said of masked words are ids of tokens. They can only be compared with another model's where both
count alike, so a model with fewer tokens carries the id that each had in the model it was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.storage import jsontext
from edgeroberta.storage.files import CONFIG
from edgeroberta.tasks.outputs import Indices

#: The field of ``config.json`` that has them, in the order of the model's own ids.
FIELD = "original_token_ids"
#: Tokens that stand for all that a vocabulary lacks.
_UNKNOWN = ("<unk>", "[UNK]")


@dataclass(frozen=True, eq=False)
class TokenNumbers:
    """The two ways to count the tokens of a model."""

    originals: Indices  # int64 [tokens], the original id of each token, rising
    unknown: int  # the model's own id of the token that stands for those that it lacks

    @classmethod
    def read(cls, folder: Path) -> TokenNumbers | None:
        """Read them of a model folder or a bundle; None where its tokens are numbered as ever."""
        file = folder / CONFIG
        fields: Any = jsontext.loads(file.read_bytes()) if file.is_file() else {}
        stated = fields.get(FIELD) if isinstance(fields, dict) else None
        if stated is None:
            return None
        originals = np.asarray(stated) if isinstance(stated, list) and stated else np.zeros(0)
        if originals.dtype.kind != "i" or originals.ndim != 1 or (np.diff(originals) <= 0).any():
            raise CheckpointError(f"{FIELD} is no list of rising token ids", where=str(file))
        tokenizer, _ = tokenizerfiles.read(folder)
        known = (tokenizer.token_to_id(each) for each in _UNKNOWN)
        unknown = next((number for number in known if number is not None), 0)
        return cls(originals.astype(np.int64), unknown)

    def own(self, tokens: Indices) -> Indices:
        """Return the model's ids of tokens with these original ones, int64 [masks].

        The token for unknown words stands for those that the model lacks: what it says of them is what it
        says of that one.
        """
        places = np.searchsorted(self.originals, tokens)
        there = self.originals[np.minimum(places, len(self.originals) - 1)] == tokens
        return np.where(there, places, self.unknown)

    def originals_of(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Return the original ids of tokens that the model has."""
        return tuple(int(self.originals[token]) for token in tokens)

    def original(
        self, values: npt.NDArray[np.float32], targets: Indices | None = None
    ) -> npt.NDArray[np.float32]:
        """Return packed outputs with the original ids, float32 [masks, 2 k].

        ``values``: see :mod:`edgeroberta.tasks.masked`. ``targets``: original ids, int64 [masks], of which
        the last column of each half is.
        """
        scores, own = np.split(values, 2, axis=1)
        tokens = self.originals[own.astype(np.int64)].astype(np.float32)
        if targets is not None:
            tokens[:, -1] = targets
        return np.concatenate([scores, tokens], axis=1)
