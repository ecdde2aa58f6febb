"""What is found of each label: metrics by label, and the gate's bounds on recall."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgeroberta.figures import ABSENT, interval, points
from edgeroberta.report.table import Cells, Column, Table

Measured = Mapping[str, Any]
#: A metric of one label among all metrics, such as ``recall[EMAIL]``.
_OF_LABEL = re.compile(r"(\w+)\[(.+)\]", re.DOTALL)
#: In this order, as far as they are told.
_NAMES = ("precision", "recall", "f1", "exact_match", "cmrc_f1", "cmrc_exact_match")


def table(report: Measured) -> Table | None:
    """Lay out the metrics of each label, of the baseline and of the first engine that has them.

    ``report``: as JSON. Returns None where the task has none: they are those of entities, by type, and of
    questions with an answer and without.
    """
    ours = next((each for each in report["engines"] if each["metrics"]), None)
    before, after = (_by_label((each or {}).get("metrics") or {}) for each in (report["baseline"], ours))
    labels = sorted({*before, *after})
    if not labels or ours is None:
        return None
    names = [name for name in _NAMES if any(name in each for each in (*before.values(), *after.values()))]
    titles = ("label", *(f"{name}, {who}" for who in ("baseline", ours["engine"]) for name in names))
    rows = [
        (label, *(points(each.get(label, {}).get(name)) for each in (before, after) for name in names))
        for label in labels
    ]
    return Table.of(titles, rows)


def bounds(report: Measured) -> Table | None:
    """Lay out the labels whose recall the gate bounds, on each engine; None where it bounds none.

    ``report``: as JSON, also one of an earlier version, which has none.
    """
    rows = [(each["engine"], found) for each in report["engines"] for found in each.get("recalls") or ()]
    cells: Cells[tuple[str, Measured]] = [
        (Column("engine", right=False), lambda row: row[0]),
        (Column("label", right=False), lambda row: str(row[1]["label"])),
        (Column("times"), lambda row: f"{row[1]['count']:,}"),
        (Column("recall of the baseline", "%"), lambda row: points(row[1]["baseline"])),
        (Column("recall", "% (interval)"), lambda row: _share(row[1]["recall"])),
        (Column("asked", "%"), lambda row: points(row[1]["least"])),
        (Column("drop in points (interval)"), lambda row: _drop(row[1]["drop"])),
        (Column("allowed"), lambda row: points(row[1]["most"])),
        (Column("verdict", right=False), lambda row: str(row[1]["verdict"])),
    ]
    return Table.by(cells, rows) if rows else None


def asked(gate: Measured) -> str | None:
    """Say which recall the gate asks for; None where it asks for none. ``gate``: as JSON."""
    least, most = gate.get("min_recall") or {}, gate.get("max_recall_drop")
    said = []
    if least:
        listed = ", ".join(f"{points(share)}% of {label}" for label, share in least.items())
        said.append(f"at least {listed} must be found")
    if isinstance(most, Mapping) and most:
        (label, first), *others = most.items()
        more = "".join(f", of {each} by {points(share)}" for each, share in others)
        said.append(f"the recall of {label} may fall by at most {points(first)} points{more}")
    elif isinstance(most, int | float):
        said.append(f"the recall of each label may fall by at most {points(most)} points")
    return f"Of single labels, {', and '.join(said)}." if said else None


def _by_label(metrics: Measured) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        if told := _OF_LABEL.fullmatch(name):
            found.setdefault(told[2], {})[told[1]] = value
    return found


def _share(found: Measured | None) -> str:
    if found is None:
        return ABSENT
    return f"{points(found['mean'])} ({points(found['low'])} to {points(found['high'])})"


def _drop(found: Measured | None) -> str:
    return ABSENT if found is None else interval(found["mean"], found["low"], found["high"])
