"""Rows of cells set in columns, for terminals."""

from __future__ import annotations

from collections.abc import Container, Sequence

from edgeroberta.escaping import one_line


def columns(rows: Sequence[Sequence[str]], *, left: Container[int]) -> list[str]:
    """Set cells in columns, two spaces apart.

    Args:
        rows: Cells, as many in each row; the titles are the first row.
        left: Indices of the columns that are set flush left; the others are set flush right.

    Returns:
        One line per row, without trailing spaces.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
