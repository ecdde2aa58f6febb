"""Makes the tables in README.md, docs/ and benchmarks/ and the drawings from benchmarks/results.

    python -m benchmarks.tables            write the tables and drawings
    python -m benchmarks.tables --check    only say which files are not current; exit code 1 if any is not

A table stands between two markers, which name a file below benchmarks/results and what of it to show:
``rows``, ``checks`` (of a machine's folder: those of all its results), ``summary``, the README's tables, or
``tasks`` (of a machine's folder: a line for each task)::

    <!-- results: some-machine/peers rows -->
    <!-- /results -->
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks import adaptation, estimates, front
from benchmarks.layout import COLUMNS, caption, figures, markdown
from benchmarks.results import RESULTS, Check, Result, Row, load
from benchmarks.summaries import summary_table, tasks_table
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.report.pareto import ParetoPoint, pareto_svg
from edgeroberta.storage.artifact import write_text

ROOT = Path(__file__).parent.parent
MARKED = re.compile(
    r"(?P<open><!-- results: (?P<path>[\w./-]+) (?P<what>[a-z]+) -->\n).*?(?P<close><!-- /results -->)",
    re.DOTALL,
)
OPENING = "<!-- results:"


def rows_table(result: Result) -> str:
    """Make one table per group of rows, with a line that says where and how it was measured."""
    parts = []
    for group, members in groupby(result.rows, key=lambda row: row.group):
        rows = list(members)
        heading = f"**{group}**\n\n" if group else ""
        parts.append(heading + _laid(rows))
    return "\n".join(parts) + "\n" + caption(result) + "\n"


def _laid(rows: Sequence[Row]) -> str:
    """Choose the form of a table by what its rows have."""
    if any(row.estimates for row in rows):
        return estimates.table(rows)
    return values_table(rows) if _has_lines(rows) else latency_table(rows)


def _has_lines(rows: Sequence[Row]) -> bool:
    """Tell whether rows have values that are no columns, and so are lines."""
    return any(name not in COLUMNS for row in rows for name, _ in row.values)


def latency_table(rows: Sequence[Row]) -> str:
    """Lay out contestants, one per line; columns that no row fills are left out."""
    kept = [name for name, cell in COLUMNS.items() if not name or any(cell(row) for row in rows)]
    return markdown(kept, [[COLUMNS[name](row) or "–" for name in kept] for row in rows])


def values_table(rows: Sequence[Row]) -> str:
    """Lay out rows that have values of their own, one value per line."""
    cells = [dict(_numbers(row)) for row in rows]
    names = dict.fromkeys(name for values in cells for name in values)
    header = [COLUMNS[""](row) for row in rows]
    lines = [
        [name, *(figures(values[name]) if name in values else "–" for values in cells)] for name in names
    ]
    return markdown(["", *header], lines)


def _numbers(row: Row) -> list[tuple[str, float]]:
    """Return what a line each is made of: the answers' shares in percent, then the row's own values."""
    shares = (("accuracy", row.accuracy), ("agreement %", row.same_answers))
    return [*((name, share * 100) for name, share in shares if share is not None), *row.values]


def checks_table(results: Sequence[Result]) -> str:
    """Make the table of promises, what was measured, and with which version."""
    lines = [
        [
            check.title,
            f"{bound(check)} {number(check.bar, check)}",
            number(check.value, check),
            verdict(check),
            str(result.version),
        ]
        for result in results
        for check in result.checks
    ]
    return markdown(["", "promised", "measured", "", "version"], lines)


def bound(check: Check) -> str:
    """Return the sign of the promise."""
    return "≥" if check.direction == "at least" else "≤"


def number(value: float, check: Check) -> str:
    """Write a value of a check: four significant figures and the unit, or a share with four decimals."""
    return f"{value:.4g} {check.unit}" if check.unit else f"{value:.4f}"


def verdict(check: Check) -> str:
    """Say whether the promise holds."""
    return "kept" if check.ok else "**missed**"


def table(path: str, what: str, results: Path) -> str:
    """Make the table a marker asks for.

    Raises:
        EdgeRobertaError: The marker names no result or asks for something else.
    """
    if what == "tasks":
        return tasks_table([load(file) for file in sorted((results / path).glob("*.json"))])
    if what in ("rows", "summary"):
        return (rows_table if what == "rows" else summary_table)(load(results / f"{path}.json"))
    if what != "checks":
        raise EdgeRobertaError(
            f"'{what}' is none of 'rows', 'checks', 'summary', 'tasks'", where=f"marker {path}"
        )
    if not (results / path).is_dir():
        return checks_table([load(results / f"{path}.json")])
    return checks_table([load(file) for file in sorted((results / path).glob("*.json"))])


def updated(text: str, results: Path) -> str:
    """Return the text of a Markdown file with all its tables current.

    Raises:
        EdgeRobertaError: A marker is not closed, or names something that does not exist.
    """
    if len(MARKED.findall(text)) != text.count(OPENING):
        raise EdgeRobertaError(
            "a results marker is malformed or not closed",
            hint="<!-- results: machine/name rows -->, a line break, <!-- /results -->",
        )
    return MARKED.sub(
        lambda found: found["open"] + table(found["path"], found["what"], results) + found["close"], text
    )


def documents(root: Path) -> list[Path]:
    """Return the files that may hold tables."""
    named = [root / "README.md", root / "benchmarks" / "README.md"]
    return [path for path in (*named, *sorted((root / "docs").rglob("*.md"))) if path.exists()]


def stale(root: Path, results: Path) -> dict[Path, str]:
    """Return the files whose tables are not current, and the drawings, with what they should say.

    A drawing that is not there yet is made as soon as its result is there.
    """
    found = {}
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        try:
            wanted = updated(text, results)
        except EdgeRobertaError as error:
            where = f"{path}: {error.where}" if error.where else str(path)
            raise EdgeRobertaError(error.what, where=where, hint=error.hint) from error
        if wanted != text:
            found[path] = wanted
    for name, (draw, source) in DRAWINGS.items():
        drawn, result = root / name, results / f"{source}.json"
        if drawn.exists() or result.exists():
            wanted = draw(load(result))
            if not drawn.exists() or drawn.read_text(encoding="utf-8") != wanted:
                found[drawn] = wanted
    return found


def recipes(result: Result) -> str:
    """Draw accuracy against latency of the rows that have both, the first group's only.

    Rows are titled ``name, engine``; each engine is a series.
    """
    first = result.rows[0].group
    points = []
    for row in result.rows:
        if row.group == first and row.latency and row.accuracy is not None:
            title, _, engine = row.title.rpartition(", ")
            name = title.replace("`", "").partition(":")[0]
            points.append(ParetoPoint(name, row.latency.p50, row.accuracy, series=engine))
    return pareto_svg(points, title=f"{result.settings['heldout']}, one text at a time, one thread")


#: Drawing to what draws it, and the result below benchmarks/results that it shows.
DRAWINGS: dict[str, tuple[Callable[[Result], str], str]] = {
    "docs/images/pareto-front.svg": (recipes, "epyc-9004-2core/smaller"),
    "docs/images/adaptation.svg": (adaptation.drawing, "epyc-9004-2core/adaptation"),
    "docs/images/front.svg": (front.drawing, "xeon-sapphire-rapids-2core/peers"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit code 1 if a table is stale"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    results = RESULTS if options.root == ROOT else options.root / "benchmarks" / "results"
    changed = stale(options.root, results)
    for path, text in changed.items():
        print(f"{path.relative_to(options.root)}: {'not current' if options.check else 'written'}")
        if not options.check:
            write_text(path, text)
    if options.check and changed:
        print("next: python -m benchmarks.tables", file=sys.stderr)
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
