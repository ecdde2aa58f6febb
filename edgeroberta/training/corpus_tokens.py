"""Documents as token ids without special tokens: those of the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.storage.artifact import digest_file, digest_value
from edgeroberta.storage.files import TOKENIZER, TOKENIZER_CONFIG

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Indices = npt.NDArray[np.int64]
#: Documents handed to the package at a time: more than some hundreds only slow it down.
_BATCH = 256


@dataclass(frozen=True, eq=False)
class CorpusTokenizer:
    """Turns documents of any length into ids."""

    tokenizer: Tokenizer
    dtype: np.dtype[Any]  # of ids on disk: 2 bytes where the vocabulary allows it
    digest: str  # digest of all that the ids depend on beside the texts (hex)

    @classmethod
    def open(cls, model: Checkpoint) -> CorpusTokenizer:
        """Read the tokenizer of a model; raises BundleError: it is missing or damaged."""
        tokenizer, _ = tokenizerfiles.read(model.folder)
        largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        files = (model.folder / TOKENIZER, model.folder / TOKENIZER_CONFIG)
        contents = [digest_file(file) if file.is_file() else None for file in files]
        dtype = np.dtype("<u2" if largest < 1 << 16 else "<i4")
        return cls(tokenizer, dtype, digest_value(contents))

    def encode(self, documents: Sequence[str]) -> tuple[npt.NDArray[Any], Indices]:
        """Return the ids of all documents, one after the other, and how many each has, int64[documents]."""
        parts: list[npt.NDArray[Any]] = []
        for start in range(0, len(documents), _BATCH):
            found = self.tokenizer.encode_batch_fast(
                list(documents[start : start + _BATCH]), add_special_tokens=False
            )
            parts += [np.array(one.ids, self.dtype) for one in found]
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return np.concatenate(parts) if parts else np.zeros(0, self.dtype), lengths
