"""Documents as token ids in files, on their way to training sequences, and which of them are held out.

In memory is one part of them at a time. The files are three: ids, the number of tokens of each document, and
a hash of its text.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeroberta.data.documents import Documents
from edgeroberta.errors import DataError
from edgeroberta.progress import Progress
from edgeroberta.training.corpus_tokens import CorpusTokenizer

_IDS, _LENGTHS, _KEYS = "document-ids.bin", "document-lengths.bin", "document-keys.bin"
#: Documents, and tokens, that are read at a time; one document of more tokens is read whole.
_DOCUMENTS, _TOKENS = 1 << 14, 1 << 21
#: Up to so many documents, the number held out is exact; above, the share of hashes is.
_COUNTED = 100_000
#: Different documents to hold out where the share is less, but not more than this share of them.
_FEWEST, _MOST = 20, 0.1


class TokenizedPart(NamedTuple):
    """Some documents."""

    ids: npt.NDArray[Any]  # [tokens], one document after the other
    lengths: npt.NDArray[np.int64]  # int64[documents]
    keys: npt.NDArray[np.uint64]  # uint64[documents], equal for copies of one text


@dataclass(frozen=True)
class TokenizedDocuments:
    """Tokenized documents in a folder."""

    folder: Path
    dtype: np.dtype[Any]  # of the ids
    documents: int
    tokens: int
    bytes: int  # of the text, in UTF-8

    @classmethod
    def write(
        cls, documents: Documents, tokenizer: CorpusTokenizer, folder: Path, progress: Progress
    ) -> TokenizedDocuments:
        """Tokenize documents into files; a document without any token is left out."""
        count = tokens = size = 0
        with (
            progress.bar("tokenize", 0, "documents") as advance,
            (folder / _IDS).open("wb") as ids,
            (folder / _LENGTHS).open("wb") as lengths,
            (folder / _KEYS).open("wb") as keys,
        ):
            for chunk in documents.chunks():
                found, sizes = tokenizer.encode(chunk)
                hashes = np.fromiter(map(_hash, chunk), np.uint64, len(chunk))
                ids.write(found.tobytes())
                lengths.write(sizes[sizes > 0].tobytes())
                keys.write(hashes[sizes > 0].tobytes())
                count += int(np.count_nonzero(sizes))
                tokens += len(found)
                size += sum(map(_bytes, chunk))
                advance(len(chunk), f"{size / 1e6:,.0f} MB")
        return cls(folder, tokenizer.dtype, count, tokens, size)

    def parts(self) -> Iterator[TokenizedPart]:
        """Read the documents in order, some MB at a time."""
        with (
            (self.folder / _IDS).open("rb") as ids,
            (self.folder / _LENGTHS).open("rb") as lengths,
            (self.folder / _KEYS).open("rb") as keys,
        ):
            while len(sizes := np.fromfile(lengths, np.int64, _DOCUMENTS)):
                hashes = np.fromfile(keys, np.uint64, len(sizes))
                numbers = np.cumsum(sizes) // _TOKENS
                for number in range(int(numbers[0]), int(numbers[-1]) + 1):
                    chosen = numbers == number
                    if chosen.any():
                        count = int(sizes[chosen].sum())
                        read = np.fromfile(ids, self.dtype, count)
                        yield TokenizedPart(read, sizes[chosen], hashes[chosen])

    def heldout_below(self, share: float, *, fewest: int, where: str) -> int:
        """Return the hash below which a document is held out, so that copies of a text stay together.

        ``share``: of the documents. ``fewest``: how many different ones are needed on each side. Raises
        DataError: there are too few different documents; ``where`` is what it calls them.
        """
        if self.documents > _COUNTED:
            return int(share * 2.0**64)
        different = np.unique(np.fromfile(self.folder / _KEYS, np.uint64))
        least = max(fewest, min(_FEWEST, int(_MOST * len(different))))
        count = max(least, round(share * len(different)))
        if len(different) < 2 * fewest:
            what = "1 document" if len(different) == 1 else f"{len(different)} different documents"
            need = "" if fewest == 1 else f", where {2 * fewest} are needed for pairs of two"
            raise too_few(f"{what}, of which none can be held out{need}", where)
        return int(different[min(count, len(different) - fewest)])

    def remove(self) -> None:
        """Remove the files."""
        for name in (_IDS, _LENGTHS, _KEYS):
            (self.folder / name).unlink(missing_ok=True)


def too_few(what: str, where: str) -> DataError:
    """Make the error for a corpus with too few documents."""
    return DataError(
        what,
        where=where,
        hint="give more text, a document per line or blank lines between documents; documents: rows makes"
        " each line one",
        code="data.too-few-documents",
    )


def _hash(text: str) -> int:
    """Return the same number for copies of a text, whatever their case and white space, as far as ASCII."""
    bare = text.casefold().encode().translate(None, string.whitespace.encode())
    return int.from_bytes(hashlib.blake2b(bare, digest_size=8).digest(), "little")


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
