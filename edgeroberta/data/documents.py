"""Unlabelled text to pre-train on: documents, read as a stream in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Documents(Protocol):
    """Texts without labels, each a document, in files that are read as they are wanted."""

    @property
    def source(self) -> str:
        """Where they come from, for people."""

    @property
    def digest(self) -> str:
        """The sha256 of the content (hex), whatever the files and their format."""

    def chunks(self) -> Iterator[Sequence[str]]:
        """Give all documents in order, some thousands at a time; it can be called again."""
