"""The tables of several hosts as one, for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeroberta.bench import table
from edgeroberta.bench.remote import HostResult, to_json
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.escaping import markdown as escape
from edgeroberta.evaluate.report_text import ABSENT
from edgeroberta.layout import columns
from edgeroberta.storage import artifact

_WORDS = 4  # host, model, engine and status are words; the rest is set flush right


def text(results: Sequence[HostResult]) -> str:
    """Lay out the tables of all hosts in one, with what they were measured on below it.

    Args:
        results: One per host. A single host that was measured gives the table that ``bench`` gives there.
            Why a host failed is not told here: the command says it as an error.
    """
    if len(results) == 1 and (only := results[0].comparison) is not None:
        return table.text(only)
    rows = _rows(results)
    laid = columns(rows, left=range(_WORDS)) if rows else []
    return "\n".join([*laid, "", *_facts(results)]) + "\n"


def markdown(results: Sequence[HostResult]) -> str:
    """Write the tables of all hosts as one in GitHub Markdown."""
    lines = ["# Benchmark", ""]
    if rows := _rows(results):
        rule = ["---" if column < _WORDS else "---:" for column in range(len(rows[0]))]
        lines += [_line(rows[0]), _line(rule)]
        lines += [_line([escape(cell) for cell in row]) for row in rows[1:]]
    below = [*_facts(results), *_errors(results)]
    return "\n".join([*lines, "", *(f"- {escape(fact)}" for fact in below)]) + "\n"


def write(results: Sequence[HostResult], bundle: Path) -> Path:
    """Write ``reports/bench-hosts.md`` and ``.json`` into a bundle; they are not part of it.

    Args:
        results: One per host.
        bundle: Bundle folder.

    Returns:
        The Markdown file.

    Raises:
        EdgeRobertaError: The folder cannot be written, or has files of others of these names.
    """
    folder = bundle / "reports"
    try:
        folder.mkdir(exist_ok=True)
        artifact.check_place(folder, ("bench-hosts.json", "bench-hosts.md"))
        artifact.write_json(folder / "bench-hosts.json", to_json(results))
        artifact.write_text(folder / "bench-hosts.md", markdown(results))
    except OSError as error:
        raise EdgeRobertaError(
            f"the table could not be kept in the bundle ({error.strerror})",
            where=str(folder),
            hint="add --json and redirect it to a file",
        ) from error
    return folder / "bench-hosts.md"


def _rows(results: Sequence[HostResult]) -> list[tuple[str, ...]]:
    measured = [each.comparison for each in results if each.comparison is not None]
    if not measured:
        return []
    header = ("host", *table.header(measured[0]))
    rows = [header]
    for each in results:
        if each.comparison is None:
            told = {"host": each.host, "status": each.status}
            rows.append(tuple(told.get(title, ABSENT) for title in header))
        else:
            rows += [(each.host, *table.cells(row)) for row in each.comparison.rows]
    return rows


def _facts(results: Sequence[HostResult]) -> list[str]:
    found: list[str] = []
    for each in results:
        if each.comparison is not None:
            found += [f"{each.host}: {fact}" for fact in table.facts(each.comparison)]
    return found


def _errors(results: Sequence[HostResult]) -> list[str]:
    """Return why hosts failed, a line each."""
    found = []
    for each in results:
        if (error := each.error) is None:
            continue
        where = error.where or each.host
        where = where if where.startswith(each.host) else f"{each.host}: {where}"
        said = "; next: ".join(filter(None, (error.what, error.hint)))
        found.append(" ".join(f"{where}: {said}".split()))
    return found


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
