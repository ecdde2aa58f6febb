"""The baseline and the bundle on each engine side by side: in a report, on a card, at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgeroberta.evaluation.report import to_come
from edgeroberta.figures import ABSENT, decimals, interval, megabytes, points, score
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.report.table import Column, Table

Measured = Mapping[str, Any]

#: Columns behind model and engine, all and those that tell most; one without a heading is the task's metric.
ALL = ("size", "", "drop", "agreement", "p50", "p99", "int8 over floats", "peak", "cold start", "verdict")
FEW = ("size", "", "agreement", "p50", "p99", "verdict")


def table(report: Measured, shown: tuple[str, ...] = FEW) -> Table:
    """Lay out a report as JSON, also one of an earlier version that has less."""
    metric = report["metric"]
    columns: dict[str, tuple[Column, Callable[[Measured], str]]] = {
        "size": (Column("size", "MB"), lambda row: megabytes(row.get("bytes"))),
        "": (Column(metric), lambda row: score(metric, (row["metrics"] or {}).get(metric))),
        "drop": (Column("drop in points (interval)"), lambda row: _drop(row.get("drop"))),
        "agreement": (Column("agreement", "%"), lambda row: points(row.get("agreement"))),
        "p50": (Column("p50", "ms"), lambda row: decimals((row["latency"] or {}).get("p50_ms"))),
        "p99": (Column("p99", "ms"), lambda row: decimals((row["latency"] or {}).get("p99_ms"))),
        "int8 over floats": (Column("int8 over floats"), lambda row: _gain(row.get("gain"))),
        "peak": (Column("peak", "MB"), lambda row: megabytes(row.get("peak_bytes"))),
        "cold start": (Column("cold start", "s"), lambda row: decimals(row.get("cold_start_s"))),
        "verdict": (Column("verdict", right=False), _verdict),
    }
    kept = [columns[name] for name in shown]
    rows = [
        (*_names(measured), *(cell(measured) for _, cell in kept))
        for measured in (report["baseline"], *report["engines"])
    ]
    words = (Column("model", right=False), Column("engine", right=False))
    return Table((*words, *(column for column, _ in kept)), tuple(rows))


def _names(row: Measured) -> tuple[str, str]:
    if "engine" not in row:
        return "baseline", ", ".join(filter(None, ("torch", row.get("dtype"))))
    return "bundle", " ".join(filter(None, (row["engine"], row.get("version"))))


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
