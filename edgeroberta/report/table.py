"""The one table model: terminals, Markdown and pages show the same cells.

Text and Markdown need the standard library alone, because a device prints them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgeroberta import escaping
from edgeroberta.figures import ABSENT
from edgeroberta.report import rendering

__all__ = ["ABSENT", "Cells", "Column", "Table", "html"]

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column:
    """A column such as ``p50`` in ``ms``; numbers are set flush right, words flush left."""

    heading: str
    unit: str = ""
    right: bool = True

    @property
    def title(self) -> str:
        """The heading with its unit."""
        return f"{self.heading} {self.unit}".strip()


#: Columns, each with the function from a row to its cell.
Cells = Sequence[tuple[Column, Callable[[Row], str]]]


@dataclass(frozen=True)
class Table:
    """Cells in columns, and sentences that stand beneath them."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    footnotes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse rows of other lengths."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells for {len(self.columns)} columns")

    @classmethod
    def of(
        cls, titles: Iterable[str], rows: Iterable[Sequence[str]], *, words: int | Sequence[int] | None = 1
    ) -> Table:
        """Make a table of titles and cells.

        ``words`` says how many columns, or which, are set flush left; None: all but those of numbers.
        """
        titles, cells = tuple(titles), tuple(map(tuple, rows))
        if words is None:
            words = [i for i in range(len(titles)) if not cells or not all(_number(row[i]) for row in cells)]
        left = range(words) if isinstance(words, int) else words
        return cls(tuple(Column(title, right=i not in left) for i, title in enumerate(titles)), cells)

    @classmethod
    def by(cls, cells: Cells[Row], rows: Iterable[Row]) -> Table:
        """Make a table of things: one row for each, and of each column the function that fills its cell."""
        columns, fillers = zip(*cells, strict=True)
        return cls(columns, tuple(tuple(fill(row) for fill in fillers) for row in rows))

    def text(self) -> str:
        """Set the table for a terminal: columns two spaces apart, no trailing spaces."""
        lines = self._lines(escaping.one_line)
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        sizes = [
            f"{'>' if column.right else '<'}{width}"
            for column, width in zip(self.columns, widths, strict=True)
        ]
        laid = ["  ".join(map(format, cells, sizes)).rstrip() for cells in lines]
        notes = ["", *self.footnotes] if self.footnotes else []
        return "\n".join([*laid, *notes])

    def markdown(self, escape: Callable[[str], str] = escaping.markdown) -> str:
        """Write the table as GitHub Markdown; give ``escape`` where cells are Markdown already."""
        titles, *rows = self._lines(escape)
        rule = ["---:" if column.right else "---" for column in self.columns]
        laid = [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]
        notes = ["", *(f"- {escape(note)}" for note in self.footnotes)] if self.footnotes else []
        return "\n".join([*laid, *notes])

    def _lines(self, escape: Callable[[str], str]) -> list[list[str]]:
        titles = [column.title for column in self.columns]
        return [[escape(cell) for cell in cells] for cells in (titles, *self.rows)]

    def _repr_html_(self) -> str:
        return html(self)


def _number(cell: str) -> bool:
    return cell == ABSENT or cell[:1].isdigit() or cell[:1] in ("+", "-", ".")


def html(table: Table) -> str:
    """Return a table as HTML; raises UnavailableError where Jinja2 is not installed."""
    return rendering.render("table.html.j2", table=table)
