"""Documents as token ids without special tokens: those of the model's own tokenizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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


class Encoded(NamedTuple):
    """Documents as ids."""

    ids: npt.NDArray[Any]  # [tokens], one document after the other
    lengths: Indices  # int64[documents]

    @classmethod
    def of(cls, documents: Sequence[npt.NDArray[Any]]) -> Encoded:
        """Put documents together; there must be one."""
        return cls(np.concatenate(documents), np.fromiter(map(len, documents), np.int64, len(documents)))

    def apart(self) -> list[npt.NDArray[Any]]:
        """Return the ids of each document."""
        return np.split(self.ids, np.cumsum(self.lengths)[:-1])


@dataclass(frozen=True, eq=False)
class CorpusTokenizer:
    """Turns documents of any length into ids; not to be used by several threads at once."""

    tokenizer: Tokenizer
    dtype: np.dtype[Any]  # of ids on disk: 2 bytes where the vocabulary allows it
    digest: str  # digest of all that the ids depend on beside the texts (hex)
    memo: WordMemo | None  # the fast way, where there is one
    #: what is looked for in texts before they are cut into words; an added token may be several of these
    added: Mapping[str, bool]
    #: how often special tokens stand in texts
    seen: Counter[str] = field(default_factory=Counter)

    @classmethod
    def open(cls, model: Checkpoint) -> CorpusTokenizer:
        """Read the tokenizer of a model; raises BundleError: it is missing or damaged."""
        tokenizer, _ = tokenizerfiles.read(model.folder)
        largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        files = (model.folder / TOKENIZER, model.folder / TOKENIZER_CONFIG)
        contents = [digest_file(file) if file.is_file() else None for file in files]
        dtype = np.dtype("<u2" if largest < 1 << 16 else "<i4")
        tokens = tokenizer.get_added_tokens_decoder().values()
        added = {token.content: token.special for token in tokens if token.content}
        if tokenizer.encode_special_tokens:  # those are characters like any other then
            added = {content: special for content, special in added.items() if not special}
        memo = WordMemo.of(tokenizer, dtype)
        if tokenizer.normalizer is not None and any(token.normalized for token in tokens):
            memo = None  # such a token is found in what the normalizer makes of a text
        return cls(tokenizer, dtype, digest_value(contents), memo, added)

    def encode(self, documents: Sequence[str]) -> Encoded:
        """Return the ids of documents, none of them empty, as the device has them without special tokens."""
        parts = [self._part(part) for part in _batches(documents)]
        if not parts:
            return Encoded(np.zeros(0, self.dtype), np.zeros(0, np.int64))
        return Encoded(
            np.concatenate([part.ids for part in parts]), np.concatenate([part.lengths for part in parts])
        )

    def _part(self, documents: Sequence[str]) -> Encoded:
        together = "".join(documents)
        present = [content for content in self.added if content in together]
        for content in present:
            if self.added[content]:
                self.seen[content] += together.count(content)
        if self.memo is None:
            return self._by_package(documents)
        if not present:
            return Encoded(*self.memo.encode(documents))
        marked = [any(content in text for content in present) for text in documents]
        found = iter(
            self._by_package([text for text, one in zip(documents, marked, strict=True) if one]).apart()
        )
        others = [text for text, one in zip(documents, marked, strict=True) if not one]
        rest = iter(Encoded(*self.memo.encode(others)).apart() if others else ())
        return Encoded.of([next(found if one else rest) for one in marked])

    def _by_package(self, documents: Sequence[str]) -> Encoded:
        parts: list[npt.NDArray[Any]] = []
        for start in range(0, len(documents), _FEW):
            chosen = list(documents[start : start + _FEW])
            found = self.tokenizer.encode_batch_fast(chosen, add_special_tokens=False)
            parts += [np.array(one.ids, self.dtype) for one in found]
        return Encoded.of(parts)


def _batches(documents: Sequence[str]) -> Iterator[Sequence[str]]:
    first = size = 0
    for number, text in enumerate(documents):
        size += len(text)
        if size >= _BATCH:
            yield documents[first : number + 1]
            first, size = number + 1, 0
    if first < len(documents):
        yield documents[first:]
