"""Documents for tests: texts in memory, as the stages of unlabelled text are given them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeroberta.storage.artifact import digest_value


@dataclass(frozen=True)
class ListedDocuments:
    """Documents that are in memory, given some at a time."""

    texts: Sequence[str]
    at_once: int = 7
    source: str = "texts.txt"

    @property
    def digest(self) -> str:
        return digest_value(list(self.texts))

    def chunks(self) -> Iterator[Sequence[str]]:
        for start in range(0, len(self.texts), self.at_once):
            yield self.texts[start : start + self.at_once]
