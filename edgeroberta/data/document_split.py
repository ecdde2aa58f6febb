"""Which documents are held out: told by the text alone, so that copies are on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from edgeroberta.data.documents import Documents
from edgeroberta.errors import DataError


def is_heldout(text: str, share: float) -> bool:
    """Tell whether a document is held out of training.

    ``share``: of all different documents, 0 to 1. White space and case make no difference.
    """
    digest = hashlib.sha256("".join(text.casefold().split()).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass
class SplitReader:
    """Reads documents once: those to learn from as a stream, those that are held out into memory."""

    corpus: Documents | None  # None: no documents
    advance: Callable[[int], object]  # is told how many were read
    share: float  # of the documents, to hold out
    room: int  # characters of held-out documents to keep
    documents: int = 0  # how many were read, held-out ones included
    heldout: list[str] = field(default_factory=list)

    def training(self) -> Iterator[Sequence[str]]:
        """Give all that are not held out, some thousands at a time. Raises DataError: there are none."""
        for chunk in self.corpus.chunks() if self.corpus is not None else ():
            out = [is_heldout(text, self.share) for text in chunk]
            for text in (text for text, held in zip(chunk, out, strict=True) if held):
                if len(text) <= self.room:
                    self.heldout.append(text)
                    self.room -= len(text)
            self.documents += len(chunk)
            self.advance(len(chunk))
            yield [text for text, held in zip(chunk, out, strict=True) if not held]
        if self.corpus is not None and not self.documents:
            raise DataError("no text in here", where=self.corpus.source, hint="give a file with texts")
