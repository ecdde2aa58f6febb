"""The one form of what a report says: Markdown, pages and terminals show the same sections."""

from __future__ import annotations

from dataclasses import dataclass

from edgeroberta.report.figure import Figure
from edgeroberta.report.listing import Listing
from edgeroberta.report.table import Table


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and perhaps a table; the first section's heading is the report's own."""

    title: str
    sentences: tuple[str, ...] = ()
    table: Table | None = None
    figures: tuple[Figure, ...] = ()  # for pages alone
    listing: Listing | None = None  # rows that are searched, for pages alone
