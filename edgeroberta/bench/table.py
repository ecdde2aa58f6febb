"""The table of a comparison for people: aligned text, and Markdown."""

from __future__ import annotations

from edgeroberta.bench.comparison import Comparison, Row
from edgeroberta.bench.protocol import Status
from edgeroberta.layout import columns
from edgeroberta.verification.report_text import ABSENT, escape, megabytes, points

_FAILED = (Status.WRONG, Status.FAILED, Status.CRASHED, Status.TIMED_OUT, Status.MISSING)
_LEFT = 2  # model and engine are words; all but the status after them is set flush right


def header(comparison: Comparison) -> tuple[str, ...]:
    """Return the column titles."""
    return (
        "model",
        "engine",
        "size MB",
        comparison.metric,
        "same answer %",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "texts/s",
        "peak MB",
        "cold start s",
        "speed-up",
        "status",
    )


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as texts, one per column."""
    latency = row.latency
    times = (latency.p50_ms, latency.p90_ms, latency.p99_ms) if latency else (None, None, None)
    return (
        row.name,
        row.engine,
        megabytes(row.bytes),
        ABSENT if row.metric is None else points(row.metric),
        ABSENT if row.agreement is None else points(row.agreement),
        *(ABSENT if value is None else f"{value:.2f}" for value in times),
        f"{latency.texts_per_second:,.0f}" if latency else ABSENT,
        megabytes(row.peak_bytes),
        ABSENT if row.cold_start_s is None else f"{row.cold_start_s:.2f}",
        ABSENT if row.speed_up is None else f"{row.speed_up:.2f}×",
        str(row.status),
    )


def text(comparison: Comparison) -> str:
    """Lay the table out for a terminal, with what it was measured on below it."""
    lines = [header(comparison), *(cells(row) for row in comparison.rows)]
    laid = columns(lines, left=(*range(_LEFT), len(lines[0]) - 1))
    return "\n".join([*laid, "", *facts(comparison)]) + "\n"


def markdown(comparison: Comparison) -> str:
    """Write the table as GitHub Markdown, with what it was measured on below it."""
    titles = header(comparison)
    right = ["---:" if _LEFT <= column < len(titles) - 1 else "---" for column in range(len(titles))]
    lines = ["# Benchmark", "", _line(titles), _line(right)]
    lines += [_line([escape(cell) for cell in cells(row)]) for row in comparison.rows]
    return "\n".join([*lines, "", *(f"- {escape(fact)}" for fact in facts(comparison))]) + "\n"


def facts(comparison: Comparison) -> list[str]:
    """Say what the numbers are: input, method, machine, versions, and what failed."""
    plan, machine = comparison.plan, comparison.machine
    found = [_input(comparison)]
    found.append(
        f"Each row in a process of its own with {plan.threads} thread(s), all in turns: {plan.rounds} rounds "
        f"of up to {plan.calls} calls or {plan.turn_seconds:g} s, after {plan.warmup} to warm up; "
        "percentiles are of all calls, the speed-up over full-size is the median over rounds."
    )
    for row in comparison.rows:
        if row.status is Status.STORED:
            single = "single texts" if row.latency else "not timed"
            found.append(f"The reference was measured on {row.device} ({single}, {row.engine}).")
    found.append(f"Here: {machine.describe()}; Python {machine.python}.")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))
    found.append(f"Versions: {versions}.")
    for row in comparison.rows:
        if row.status in _FAILED and row.detail:
            found.append(f"{row.name} on {row.engine}: {row.status}: {' '.join(row.detail.split())}")
    return [*found, *comparison.notes]


def _input(comparison: Comparison) -> str:
    plan, data = comparison.plan, comparison.data
    shape = plan.shape
    if shape.length is not None:
        timed = f"Timed on random ids, {plan.batch} × {shape.length} tokens, without tokenization."
    elif not shape.tokenized:
        timed = "Timed on random ids of the lengths the training texts had, without tokenization."
    else:
        each = "a text" if plan.batch == 1 else f"{plan.batch} texts"
        timed = f"Timed on {each} per call, tokenization included, at the lengths the data has."
    if data is None:
        return f"{timed} No data to check answers on: name it with --data."
    return f"{timed} Answers: {data['rows']:,} rows of {data['source']}."


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"
