"""The baseline and the bundle on each engine side by side: in a report, on a card, at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgeroberta.evaluation.result import to_come
from edgeroberta.figures import ABSENT, decimals, interval, megabytes, points, score
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.report.table import Cells, Column, Table

Measured = Mapping[str, Any]

#: Columns of a short table; a long one has all.
FEW = ("model", "engine", "size", "agreement", "mean", "p50", "p99", "verdict")


def table(report: Measured, *, all_columns: bool = False) -> Table:
    """Lay out a report as JSON, also one of an earlier version that has less."""
    metric = report["metric"]
    cells: Cells[Measured] = [
        (Column("model", right=False), lambda row: "bundle" if "engine" in row else "baseline"),
        (Column("engine", right=False), _engine),
        (Column("size", "MB"), lambda row: megabytes(row.get("bytes"))),
        (Column(metric), lambda row: score(metric, (row["metrics"] or {}).get(metric))),
        (Column("drop in points (interval)"), lambda row: _drop(row.get("drop"))),
        (Column("agreement", "%"), lambda row: points(row.get("agreement"))),
        *((Column(name, "ms"), _time(f"{name}_ms")) for name in ("mean", "p50", "p99")),
        (Column("int8 over float"), lambda row: _gain(row.get("gain"))),
        (Column("peak", "MB"), lambda row: megabytes(row.get("peak_bytes"))),
        (Column("cold start", "s"), lambda row: decimals(row.get("cold_start_s"))),
        (Column("verdict", right=False), _verdict),
    ]
    shown = [each for each in cells if all_columns or each[0].heading in (*FEW, metric)]
    return Table.by(shown, (report["baseline"], *report["engines"]))


def _time(name: str) -> Callable[[Measured], str]:
    return lambda row: decimals((row["latency"] or {}).get(name))


def _engine(row: Measured) -> str:
    named = (row["engine"], row.get("version")) if "engine" in row else ("torch", row.get("dtype"))
    return (" " if "engine" in row else ", ").join(filter(None, named))


def _drop(drop: Measured | None) -> str:
    return ABSENT if drop is None else interval(drop["mean"], drop["low"], drop["high"])


def _gain(gain: Measured | None) -> str:
    return ABSENT if gain is None else Int8Speedup(**gain).cell


def _verdict(row: Measured) -> str:
    if "engine" not in row:
        return ABSENT
    if to_come(row["engine"], row["status"]):
        return "to be measured on the device"
    verdict = str(row["judgement"]["verdict"])
    return verdict if row["metrics"] is not None else f"{verdict} ({row['status']})"
