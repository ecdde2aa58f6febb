"""How results are written in the tables: the columns of a row, numbers, and what is said below a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.results import Machine, Result, Row
from edgeroberta.report.table import Table
from edgeroberta.version import __version__


def _value(row: Row, name: str, times: int, digits: int) -> str:
    """Write one of a row's own values, so many times, with so many digits; nothing where it has none."""
    found = dict(row.values).get(name)
    return "" if found is None else f"{found * times:.{digits}f}"


#: Column title to the cell's text, in order; a column no row fills is left out.
COLUMNS: dict[str, Callable[[Row], str]] = {
    "": lambda row: row.title if row.status == "ok" else f"{row.title} (failed)",
    "accuracy": lambda row: "" if row.accuracy is None else f"{row.accuracy * 100:.1f}",
    "F1": lambda row: "" if row.f1 is None else f"{row.f1 * 100:.1f}",
    "Spearman": lambda row: _value(row, "Spearman", 100, 1),
    "mean cosine": lambda row: _value(row, "mean cosine", 1, 4),
    "least cosine": lambda row: _value(row, "least cosine", 1, 3),
    "agreement": lambda row: "" if row.same_answers is None else f"{row.same_answers * 100:.1f} %",
    "kept": lambda row: spread(row.kept),
    "mean ms": lambda row: figures(row.latency.mean) if row.latency and row.latency.mean else "",
    "p50 ms": lambda row: "" if row.latency is None else figures(row.latency.p50),
    "p90 ms": lambda row: "" if row.latency is None else figures(row.latency.p90),
    "p99 ms": lambda row: "" if row.latency is None else figures(row.latency.p99),
    "speed-up": lambda row: "" if row.ratio is None else f"{row.ratio:.2f}",
    "of the mean": lambda row: "" if row.mean_ratio is None else f"{row.mean_ratio:.2f}",
    "MB": lambda row: "" if row.size_mb is None else figures(row.size_mb),
}


def spread(shares: Sequence[float]) -> str:
    """Write the mean of some shares, and the least and the greatest where there are several."""
    if not shares:
        return ""
    percents = [share * 100 for share in shares]
    mean = f"{sum(percents) / len(percents):.1f} %"
    return mean if len(percents) == 1 else f"{mean} ({min(percents):.1f}–{max(percents):.1f})"


def figures(value: float) -> str:
    """Write a number with three significant figures, thousands never shortened."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table of cells that are Markdown; all columns but the first are right-aligned."""
    return Table.of(header, lines).markdown(escape=str) + "\n"


def caption(result: Result) -> str:
    """Say where, when and how a result was measured."""
    settings = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in result.settings.items()
        if not name.endswith("digest") and isinstance(value, (str, int, float))
    )
    return f"*{describe(result.machine)}; {result.measured[:10]}, {version(result)}; {settings}.*"


def version(result: Result) -> str:
    """Say with which version a result was measured, and whether that is an older one."""
    old = "" if result.version == __version__ else ", not measured again since"
    return f"version {result.version}{old}"


def describe(machine: Machine) -> str:
    """Describe a machine in a line."""
    telling = [
        flag for flag in machine.flags if "vnni" in flag or "bf16" in flag or "amx" in flag or "i8mm" in flag
    ]
    return ", ".join([machine.cpu, f"{machine.cores} cores", *telling])
