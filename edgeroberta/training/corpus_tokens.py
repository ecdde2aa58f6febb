"""Documents as token ids without special tokens: those of the model's own tokenizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.storage.artifact import digest_file, digest_value
from edgeroberta.storage.files import TOKENIZER, TOKENIZER_CONFIG
from edgeroberta.training.word_memo import WordMemo

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Indices = npt.NDArray[np.int64]
#: Characters that are tokenized at a time: so many tokens' numbers fit into a processor's cache.
_BATCH = 1 << 19
#: Documents handed to the package at a time: more than some hundreds only slow it down.
_FEW = 256
#: Tokens that stand for what the vocabulary lacks; nobody writes them.
_UNKNOWN = ("<unk>", "[UNK]")


class Encoded(NamedTuple):
    """Documents as ids."""

    ids: npt.NDArray[Any]  # [tokens], one document after the other
    lengths: Indices  # int64[documents]


@dataclass(frozen=True, eq=False)
class CorpusTokenizer:
    """Turns documents of any length into ids; not to be used by several threads at once."""

    tokenizer: Tokenizer
    dtype: np.dtype[Any]  # of ids on disk: 2 bytes where the vocabulary allows it
    digest: str  # digest of all that the ids depend on beside the texts (hex)
    memo: WordMemo | None  # the fast way, where there is one
    special: npt.NDArray[np.bool_]  # bool[tokens], which stand for no part of a text
    #: how often special tokens stood in texts, by how they are written
    seen: Counter[str] = field(default_factory=Counter)

    @classmethod
    def open(cls, model: Checkpoint) -> CorpusTokenizer:
        """Read the tokenizer of a model; raises BundleError: it is missing or damaged."""
        tokenizer, _ = tokenizerfiles.read(model.folder)
        largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        files = (model.folder / TOKENIZER, model.folder / TOKENIZER_CONFIG)
        contents = [digest_file(file) if file.is_file() else None for file in files]
        dtype = np.dtype("<u2" if largest < 1 << 16 else "<i4")
        special = np.zeros(largest + 1, bool)
        for number, token in tokenizer.get_added_tokens_decoder().items():
            special[number] = token.special and token.content not in _UNKNOWN
        return cls(tokenizer, dtype, digest_value(contents), WordMemo.of(tokenizer, dtype), special)

    def encode(self, documents: Sequence[str]) -> Encoded:
        """Return the ids of documents, none of them empty, as the device has them without special tokens."""
        parts = [self._part(part) for part in _batches(documents)]
        if not parts:
            return Encoded(np.zeros(0, self.dtype), np.zeros(0, np.int64))
        found = Encoded(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        for number in found.ids[self.special[found.ids]].tolist():
            self.seen[str(self.tokenizer.id_to_token(number))] += 1
        return found

    def _part(self, documents: Sequence[str]) -> Encoded:
        return self._by_package(documents) if self.memo is None else Encoded(*self.memo.encode(documents))

    def _by_package(self, documents: Sequence[str]) -> Encoded:
        parts: list[npt.NDArray[Any]] = []
        for start in range(0, len(documents), _FEW):
            chosen = list(documents[start : start + _FEW])
            found = self.tokenizer.encode_batch_fast(chosen, add_special_tokens=False)
            parts += [np.array(one.ids, self.dtype) for one in found]
        return Encoded(np.concatenate(parts), np.fromiter(map(len, parts), np.int64, len(parts)))


def _batches(documents: Sequence[str]) -> Iterator[Sequence[str]]:
    first = size = 0
    for number, text in enumerate(documents):
        size += len(text)
        if size >= _BATCH:
            yield documents[first : number + 1]
            first, size = number + 1, 0
    if first < len(documents):
        yield documents[first:]
