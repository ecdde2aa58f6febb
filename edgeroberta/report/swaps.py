"""How often swapped terms change an answer, list by list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeroberta.figures import interval, points
from edgeroberta.report.section import Section
from edgeroberta.report.table import Cells, Column, Table

TITLE = "Swapped terms"

_Row = tuple[str, Mapping[str, Any]]
_CELLS: Cells[_Row] = [
    (Column("engine", right=False), lambda row: row[0]),
    (Column("terms", right=False), lambda row: str(row[1]["name"])),
    (Column("rows"), lambda row: f"{row[1]['rows']:,}"),
    (Column("baseline changes", "%"), lambda row: points(row[1]["baseline"])),
    (Column("bundle changes", "%"), lambda row: points(row[1]["compressed"])),
    (Column("more, in points (interval)"), lambda row: _increase(row[1]["increase"])),
    (Column("only the baseline"), lambda row: f"{row[1]['only_baseline']:,}"),
    (Column("only the bundle"), lambda row: f"{row[1]['only_compressed']:,}"),
    (Column("allowed"), lambda row: points(row[1]["most"])),
    (Column("verdict", right=False), lambda row: str(row[1]["verdict"] or "not judged")),
]


def table(report: Mapping[str, Any]) -> Table | None:
    """Lay out each list on each engine; None where none was asked. ``report``: as JSON, of any version."""
    rows = [(each["engine"], found) for each in report["engines"] for found in each.get("swaps") or ()]
    return Table.by(_CELLS, rows) if rows else None


def sections(report: Mapping[str, Any]) -> Iterator[Section]:
    """Lay the table out with what it shows; nothing where no list was asked."""
    if (found := table(report)) is not None:
        yield Section(TITLE, tuple(sentences(report)), found)


def sentences(report: Mapping[str, Any]) -> Iterator[str]:
    """Say what the table shows, and which readings were guessed."""
    yield (
        "How many of the rows with a term get another answer once its terms are swapped (he for she, and she"
        " for he), of the baseline and of the bundle. What compression adds is the difference; what the"
        " baseline does already is no less worth a look."
    )
    guessed = {
        found["name"]: found["guessed"] for each in report["engines"] for found in each.get("swaps") or ()
    }
    told = [f"{count:,} rows of {name}" for name, count in guessed.items() if count]
    if told:
        yield (
            f'In {", ".join(told)} the next word decides what a term stands for ("her": his or him),'
            " which is a guess."
        )


def _increase(found: Mapping[str, float]) -> str:
    return interval(found["mean"], found["low"], found["high"])
