"""The tables of several hosts as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeroberta.benchmark import table
from edgeroberta.benchmark.hosts import HostResult, to_json
from edgeroberta.benchmark.notes import comparison_notes
from edgeroberta.benchmark.run import keep
from edgeroberta.report.table import ABSENT, Column, Table


def text(results: Sequence[HostResult]) -> str:
    """Lay out the tables of all hosts, at least one of which was measured, in one, with its notes below it.

    A single host that was measured gives the table that ``bench`` gives there. Why a host failed is not told
    here: the command says it as an error.
    """
    if len(results) == 1 and (only := results[0].comparison) is not None:
        return table.text(only)
    return f"{_table(results, tuple(_facts(results))).text()}\n"


def markdown(results: Sequence[HostResult]) -> str:
    """Write the tables of all hosts as one in GitHub Markdown."""
    laid = _table(results, (*_facts(results), *_errors(results)))
    return f"# Benchmark\n\n{laid.markdown()}\n"


def write(results: Sequence[HostResult], bundle: Path) -> Path:
    """Write ``reports/bench-hosts.md`` and ``.json`` into a bundle and return the former.

    Raises EdgeRobertaError: the folder cannot be written, or has files of others of these names.
    """
    return keep(bundle, "bench-hosts", to_json(results), markdown(results))


def _table(results: Sequence[HostResult], footnotes: tuple[str, ...]) -> Table:
    measured = {each.host: table.measured(each.comparison) for each in results if each.comparison is not None}
    columns = (Column("host", right=False), *next(iter(measured.values())).columns)
    rows: list[tuple[str, ...]] = []
    for each in results:
        if each.host in measured:
            rows += ((each.host, *cells) for cells in measured[each.host].rows)
        else:
            told = {"host": each.host, "status": each.status}
            rows.append(tuple(told.get(column.title, ABSENT) for column in columns))
    return Table(columns, tuple(rows), footnotes)


def _facts(results: Sequence[HostResult]) -> Iterator[str]:
    for each in results:
        if each.comparison is not None:
            yield from (f"{each.host}: {fact}" for fact in comparison_notes(each.comparison))


def _errors(results: Sequence[HostResult]) -> Iterator[str]:
    """Say why hosts failed, a line each."""
    for each in results:
        if (error := each.error) is not None:
            where = error.where or each.host
            where = where if where.startswith(each.host) else f"{each.host}: {where}"
            said = "; next: ".join(filter(None, (error.what, error.hint)))
            yield " ".join(f"{where}: {said}".split())
