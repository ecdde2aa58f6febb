"""How long texts take: the distribution of measured calls, engine by engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeroberta.figures import decimals
from edgeroberta.report.axes import LinearAxis, LogarithmicAxis
from edgeroberta.report.figure import Figure
from edgeroberta.report.plots import SERIES, Plot, legend, svg
from edgeroberta.report.table import Table

#: Shares of the calls, in percent, that the table has.
_TOLD = (1, 10, 25, 50, 75, 90, 99, 100)


def figures(latencies: Mapping[str, Mapping[str, Any] | None]) -> Iterator[Figure]:
    """Draw which share of the calls was done by when; nothing where no quantiles were kept.

    ``latencies``: by name, a :class:`edgeroberta.measure.clock.Latency` as JSON, also one of an earlier
    version, which has no quantiles.
    """
    found = {
        name: values
        for name, told in latencies.items()
        # A device may have sent anything.
        if told and len(values := list(told.get("quantiles_ms") or ())) == 101 and min(values) > 0
    }
    if not found:
        return
    kinds = [(name, SERIES[number % len(SERIES)]) for number, name in enumerate(found)]
    named, end = legend(kinds, 16)
    top = int(end) + 42
    times = [value for values in found.values() for value in (values[0], values[99])]
    plot = Plot(LogarithmicAxis.over(times), LinearAxis(0.0, 100.0, 20.0), top, top + 230)
    parts = [*named, *plot.axes("milliseconds, logarithmic", "calls that are done, %")]
    for (_, kind), values in zip(kinds, found.values(), strict=True):
        parts.append(plot.curve([(value, share) for share, value in enumerate(values[:100])], kind))
    yield Figure(
        "Which share of the calls was answered by when; the further left, the faster, and the steeper, the "
        "more even. The slowest hundredth of the calls is in the table alone.",
        (svg("Share of the calls that is answered, by time", parts, height=plot.bottom + 50),),
        (),
        Table.of(
            ("milliseconds", *(f"{share} %" for share in _TOLD)),
            ([name, *(decimals(values[share]) for share in _TOLD)] for name, values in found.items()),
        ),
    )
