"""A picture with what stands for it where it cannot be seen."""

from __future__ import annotations

from dataclasses import dataclass

from edgeroberta.report.table import Table


@dataclass(frozen=True)
class Cell:
    """A cell of a grid."""

    text: str
    note: str = ""  # in small letters below
    shade: int | None = None  # from 0, the page's colour, to 9; None for a cell that counts nothing
    marked: bool = False  # has a frame


@dataclass(frozen=True)
class Grid:
    """A table whose cells have a colour, the stronger the more they hold; it needs no other description."""

    title: str
    corner: str  # what the rows are
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Figure:
    """Drawings side by side below one sentence."""

    caption: str  # says what is to be seen
    drawings: tuple[str, ...] = ()  # SVG, each with its title
    grids: tuple[Grid, ...] = ()
    table: Table | None = None  # the numbers, where no table of the section has them


def shade(share: float) -> int:
    """Return the shade for a share from 0 to 1; what is not nothing is to be seen."""
    return 0 if share <= 0 else min(9, 1 + int(share * 8.999))
