"""What is left of the metric on perturbed texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeroberta.figures import interval, points, score
from edgeroberta.report.section import Section
from edgeroberta.report.table import Cells, Column, Table

TITLE = "Perturbed texts"

_Row = tuple[str, Mapping[str, Any]]


def table(report: Mapping[str, Any]) -> Table | None:
    """Lay out each perturbation on each engine; None where none was asked. ``report``: as JSON."""
    rows = [(each["engine"], found) for each in report["engines"] for found in each.get("robustness") or ()]
    if not rows:
        return None
    metric = report["metric"]
    cells: Cells[_Row] = [
        (Column("engine", right=False), lambda row: row[0]),
        (Column("perturbed", right=False), lambda row: str(row[1]["name"])),
        (Column("rows changed"), lambda row: f"{row[1]['changed']:,}"),
        (Column(f"{metric} of the baseline"), lambda row: score(metric, row[1]["baseline"])),
        (Column(f"{metric} of the bundle"), lambda row: score(metric, row[1]["compressed"])),
        (Column("lost by the baseline"), lambda row: points(row[1]["baseline_loss"])),
        (Column("lost by the bundle"), lambda row: points(row[1]["compressed_loss"])),
        (Column("drop in points (interval)"), lambda row: interval(*_ends(row[1]["drop"]))),
        (Column("same answer", "% (interval)"), lambda row: _share(row[1]["agreement"])),
        (Column("allowed"), lambda row: points(row[1]["most"])),
        (Column("verdict", right=False), lambda row: str(row[1]["verdict"] or "not judged")),
    ]
    return Table.by(cells, rows)


def sections(report: Mapping[str, Any]) -> Iterator[Section]:
    """Lay the table out with what it shows; nothing where no perturbation was asked."""
    if (found := table(report)) is not None:
        yield Section(TITLE, (SENTENCE,), found)


#: What the table shows.
SENTENCE = (
    "The metric of all rows with perturbed texts. Lost is what perturbing costs a model, beside its own"
    " figure on the texts as they are. The drop is how much less the bundle has than the baseline, both on"
    " perturbed texts."
)


def _ends(found: Mapping[str, float]) -> tuple[float, float, float]:
    return found["mean"], found["low"], found["high"]


def _share(found: Mapping[str, float]) -> str:
    return f"{points(found['mean'])} ({points(found['low'])} to {points(found['high'])})"
