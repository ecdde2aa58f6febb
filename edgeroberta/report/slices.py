"""What is lost on each slice of the rows: a table, and a drawing of the intervals for pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeroberta.figures import ABSENT, interval, points, score, signed_points
from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.figure import Figure
from edgeroberta.report.interval_plot import drop_row, gate_lines
from edgeroberta.report.row_chart import row_chart
from edgeroberta.report.section import Section
from edgeroberta.report.table import Cells, Column, Table

Measured = Mapping[str, Any]


def sections(report: Measured) -> Iterator[Section]:
    """Lay out the slices, if any were asked for. ``report``: as JSON, also one of an earlier version."""
    if (found := table(report)) is not None:
        yield Section("Slice by slice", (_said(report["gate"]),), found, tuple(_figures(report)))


def table(report: Measured) -> Table | None:
    """Lay out each slice on each engine; None where no slices were asked for."""
    rows = _rows(report)
    if not rows:
        return None
    bounds = report["gate"].get("slices")
    cells: Cells[tuple[str, Measured]] = [
        (Column("engine", right=False), lambda row: row[0]),
        (Column("slice", right=False), lambda row: _title(row[1])),
        (Column("rows"), lambda row: f"{row[1]['rows']:,}"),
        (Column("metric", right=False), lambda row: row[1]["metric"] or ABSENT),
        (Column("baseline"), lambda row: _score(row[1], "baseline")),
        (Column("compressed"), lambda row: _score(row[1], "compressed")),
        (Column("drop in points (interval)"), lambda row: _drop(row[1]["drop"])),
        (Column("agreement", "% (interval)"), lambda row: _share(row[1]["agreement"])),
    ]
    if bounds is not None:
        cells = [
            *cells,
            *_ends(bounds),
            (Column("verdict", right=False), lambda row: str(row[1]["verdict"])),
            (Column("rows needed"), lambda row: _needed(row[1])),
        ]
    notes = dict.fromkeys(f"{_title(each)}: {each['note']}" for _, each in rows if each["note"])
    made = Table.by(cells, rows)
    return Table(made.columns, made.rows, tuple(notes))


def _said(gate: Measured) -> str:
    """Say how the intervals are to be read."""
    said = (
        f"With {100 * gate['confidence']:.4g}% the intervals of all slices hold at once; slices may overlap."
    )
    if gate.get("slices") is not None:
        said += (
            " A FAIL takes one of them beyond its bound. A PASS asks each slice by itself, so the bound is"
            " held against an end that is that slice's alone."
        )
    return said


def asked(gate: Measured) -> str | None:
    """Say what the gate asks of slices; None where it asks nothing. ``gate``: as JSON."""
    limits = gate.get("slices")
    if limits is None:
        return None
    said = []
    if limits["max_drop"] is not None:
        said.append(f"the metric may fall by at most {points(limits['max_drop'])} points")
    if limits["min_agreement"] is not None:
        said.append(f"at least {points(limits['min_agreement'])}% of the answers must be the baseline's")
    return f"On each slice, {' and '.join(said)}."


def _ends(bounds: Measured) -> Cells[tuple[str, Measured]]:
    """Return the columns of the ends that a PASS asks for, as far as they are bounded."""
    every: Cells[tuple[str, Measured]] = [
        (Column("drop of it alone at most"), lambda row: _points(row[1]["most"])),
        (Column("agreement of it alone at least", "%"), lambda row: points(row[1]["least"])),
    ]
    return [
        cell
        for cell, name in zip(every, ("max_drop", "min_agreement"), strict=True)
        if bounds[name] is not None
    ]


def _rows(report: Measured) -> list[tuple[str, Measured]]:
    return [(each["engine"], found) for each in report["engines"] for found in each.get("slices") or ()]


def _title(found: Measured) -> str:
    return f"{found['by']}={found['name']}"


def _score(found: Measured, name: str) -> str:
    return ABSENT if found["metric"] is None else score(found["metric"], found[name])


def _points(value: float | None) -> str:
    return ABSENT if value is None else signed_points(value)


def _drop(found: Measured | None) -> str:
    return ABSENT if found is None else interval(found["mean"], found["low"], found["high"])


def _share(found: Measured | None) -> str:
    if found is None:
        return ABSENT
    return f"{points(found['mean'])} ({points(found['low'])} to {points(found['high'])})"


def _needed(found: Measured) -> str:
    if found["verdict"] != "INCONCLUSIVE":
        return ""
    return ABSENT if found["rows_needed"] is None else f"about {found['rows_needed']:,}"


def _figures(report: Measured) -> Iterator[Figure]:
    """Draw the drops of the first engine that has slices, with their intervals, where any has one."""
    rows = _rows(report)
    engine = rows[0][0]
    found = [each for name, each in rows if name == engine and each["drop"] is not None]
    if not found:
        return
    bound = (report["gate"].get("slices") or {}).get("max_drop")
    values = [0.0, *([] if bound is None else [bound])]
    values += [each["drop"][end] for each in found for end in ("low", "high")]
    axis = LinearAxis.over([100 * value for value in values])
    drawn = [drop_row(_title(each), each["drop"], each["verdict"]) for each in found]
    title = f"Drop in points on each slice, with its interval, on {engine}"
    said = "" if bound is None else ": left of the gate's line it is allowed"
    yield Figure(
        f"{title}{said}.", (row_chart(title, drawn, axis, across="drop in points", lines=gate_lines(bound)),)
    )
