"""What is promised of bundles beside the other tools, by the names that the comparison gives its bundles.

``int8`` is to be ahead of every other int8; ``tiny`` and ``cascade`` are to be so many times faster than the
pipeline, and a cascade than the int8 model that is its last tier. Bundles of other names are only measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.peers.tools import INT8, PIPELINE
from benchmarks.pipelines import mean_times, promise, times
from benchmarks.results import Check, Row


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold each bundle on each engine to its promises; none where the row that it is compared with failed."""
    measured = {row.name: row for row in rows if row.status == "ok"}
    full = measured.get(PIPELINE)
    peers = [measured[tool.name] for tool in INT8 if tool.name in measured]
    found: list[Check] = []
    for row in measured.values():
        recipe, _, engine = row.name.partition("/")
        int8 = measured.get(f"int8/{engine}")
        if full is None or not engine:
            continue
        if recipe == "int8":
            found += _of_int8(row, peers)
        elif recipe == "tiny":
            found += [
                promise(f"{row.title}: p50 against the pipeline", times(full, row), "at least", 25, "x"),
                _kept(row, full, 0.98),
            ]
        elif recipe == "cascade":
            found += _of_cascade(row, full)
            if int8 is not None:
                found += _beside_int8(row, int8)
    return tuple(found)


def _of_int8(row: Row, peers: Sequence[Row]) -> list[Check]:
    """int8: near the full-size model, and both faster and as right as each tool's int8."""
    same = 100 * (row.same_answers or 0.0)
    found = [promise(f"{row.title}: same answers as the pipeline", same, "at least", 99.5, "%")]
    for peer in peers:
        faster = times(peer, row)
        found.append(promise(f"{row.title}: p50 against {peer.title}", faster, "at least", 1, "x"))
    if peers:
        lead = 100 * min((row.accuracy or 0.0) - (peer.accuracy or 0.0) for peer in peers)
        title = f"{row.title}: accuracy, lead over the most accurate other int8"
        found.append(promise(title, lead, "at least", 0, "points"))
    return found


def _of_cascade(row: Row, full: Row) -> list[Check]:
    lost = 100 * abs((full.accuracy or 0.0) - (row.accuracy or 0.0))
    faster = mean_times(full, row)
    return [
        promise(f"{row.title}: mean against the pipeline", faster, "at least", 15, "x"),
        _kept(row, full, 0.99),
        promise(f"{row.title}: accuracy, distance from the pipeline's", lost, "at most", 0.5, "points"),
    ]


def _beside_int8(row: Row, int8: Row) -> list[Check]:
    apart = 100 * ((int8.same_answers or 0.0) - (row.same_answers or 0.0))
    return [
        promise(f"{row.title}: mean against `int8`", mean_times(int8, row), "at least", 2, "x"),
        promise(f"{row.title}: p50 against `int8`", times(int8, row), "at least", 3, "x"),
        promise(f"{row.title}: agreement lost beside `int8`", apart, "at most", 0.5, "points"),
    ]


def _kept(row: Row, full: Row, least: float) -> Check:
    share = (row.accuracy or 0.0) / (full.accuracy or 1.0)
    return promise(f"{row.title}: share of the pipeline's accuracy", share, "at least", least)
