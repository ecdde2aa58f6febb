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
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median

from benchmarks.results import RESULTS, Check, Machine, Result, Row, load
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.report.pareto import ParetoPoint, pareto_svg
from edgeroberta.report.table import Table
from edgeroberta.storage.artifact import write_text
from edgeroberta.version import __version__

ROOT = Path(__file__).parent.parent
MARKED = re.compile(
    r"(?P<open><!-- results: (?P<path>[\w./-]+) (?P<what>[a-z]+) -->\n).*?(?P<close><!-- /results -->)",
    re.DOTALL,
)
OPENING = "<!-- results:"
#: Drawing to the result below benchmarks/results that it shows.
DRAWINGS = {"docs/images/pareto-front.svg": "epyc-9004-2core/smaller"}


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
    "p50 ms": lambda row: "" if row.latency is None else figures(row.latency.p50),
    "p90 ms": lambda row: "" if row.latency is None else figures(row.latency.p90),
    "p99 ms": lambda row: "" if row.latency is None else figures(row.latency.p99),
    "speed-up": lambda row: "" if row.ratio is None else f"{row.ratio:.2f}",
    "MB": lambda row: "" if row.size_mb is None else figures(row.size_mb),
}

#: The README's tables, by benchmark: row titles to names of rows; the first is the baseline of the speed-up.
_RECIPES = {
    "`int8`": "int8/onnxruntime",
    "`int8-distill` (default)": "int8-distill/onnxruntime",
    "`tiny`": "tiny/onnxruntime",
}
SUMMARIES = {
    "smaller": {"baseline, float32": "fp32/onnxruntime", **_RECIPES},
    "tokens": {"transformers pipeline": "transformers", "Optimum, dynamic int8": "optimum-int8", **_RECIPES},
    "embeddings": {
        "sentence-transformers, torch": "sentence-transformers",
        "its `onnx-qint8`": "onnx-qint8",
        **_RECIPES,
    },
}


@dataclass(frozen=True)
class TaskLine:
    """A task in the README's table of tasks: of a benchmark's rows, the baseline and the int8 bundle."""

    title: str
    guide: str  # page of the task
    metric: str
    score: Callable[[Row], float | None]
    baseline: str  # name of the row that the others are compared with
    ours: str  # name of the row of the int8 bundle
    against: str  # what the baseline is


def _accuracy(row: Row) -> float | None:
    return row.accuracy


def _f1(row: Row) -> float | None:
    return row.f1


def _spearman(row: Row) -> float | None:
    return dict(row.values).get("Spearman")


_PIPELINE, _INT8 = "transformers' pipeline", "int8/onnxruntime"
_OUTLIERS = "int8-outliers/onnxruntime"  # the recipe for answers and masked words
#: The lines of the table of tasks, by benchmark.
TASKS = {
    "peers": TaskLine(
        "labels of a text", "compress", "accuracy", _accuracy,
        "transformers-pipeline", "edgeroberta-onnxruntime", _PIPELINE,
    ),
    "tokens": TaskLine("entities", "entities", "entity F1", _f1, "transformers", _INT8, _PIPELINE),
    "question_answering": TaskLine(
        "answers in a passage", "question-answering", "F1", _f1, "transformers", _OUTLIERS, _PIPELINE
    ),
    "fill_mask": TaskLine(
        "masked words", "fill-mask", "accuracy", _accuracy, "transformers", _OUTLIERS, _PIPELINE
    ),
    "embeddings": TaskLine(
        "embeddings", "embeddings", "Spearman", _spearman,
        "sentence-transformers", _INT8, "sentence-transformers",
    ),
}  # fmt: skip


def tasks_table(results: Sequence[Result]) -> str:
    """Make the README's table of tasks: one line each, of the newest measurement on a machine."""
    found = {result.benchmark: result for result in results}
    lines = []
    for name, line in TASKS.items():
        if name not in found:
            continue
        rows = {row.name: row for row in found[name].rows}
        full, ours = rows[line.baseline], rows[line.ours]
        scores = [100 * (line.score(row) or 0.0) for row in (full, ours)]
        lines.append(
            [
                f"[{line.title}](docs/guides/{line.guide}.md)",
                f"{line.metric} {scores[0]:.1f} → {scores[1]:.1f}",
                COLUMNS["agreement"](ours),
                COLUMNS["p50 ms"](ours),
                f"{_times(full, ours):.1f}× {line.against}",
                version(found[name]),
            ]
        )
    header = ["task", "float → int8", "agreement", "p50 ms", "faster than", "measured with"]
    return (
        markdown(header, lines)
        + "\n"
        + f"*{describe(results[0].machine)}; one text at a time, one thread.*\n"
    )


def _times(slower: Row, faster: Row) -> float:
    """Return the median over rounds of p50 against p50."""
    if slower.latency is None or faster.latency is None:
        return 0.0
    pairs = zip(slower.latency.round_p50, faster.latency.round_p50, strict=True)
    return median(base / own for base, own in pairs)


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


def rows_table(result: Result) -> str:
    """Make one table per group of rows, with a line that says where and how it was measured."""
    parts = []
    for group, members in groupby(result.rows, key=lambda row: row.group):
        rows = list(members)
        heading = f"**{group}**\n\n" if group else ""
        parts.append(heading + (values_table(rows) if _has_lines(rows) else latency_table(rows)))
    return "\n".join(parts) + "\n" + caption(result) + "\n"


def _has_lines(rows: Sequence[Row]) -> bool:
    """Tell whether rows have values that are no columns, and so are lines."""
    return any(name not in COLUMNS for row in rows for name, _ in row.values)


def latency_table(rows: Sequence[Row]) -> str:
    """Lay out contestants, one per line; columns that no row fills are left out."""
    kept = [name for name, cell in COLUMNS.items() if not name or any(cell(row) for row in rows)]
    return markdown(kept, [[COLUMNS[name](row) or "–" for name in kept] for row in rows])


def summary_table(result: Result) -> str:
    """Make the README's table: few rows, one engine, speed-up over the baseline (median over rounds)."""
    rows = {row.name: row for row in result.rows}
    chosen = [(title, rows[name]) for title, name in SUMMARIES[result.benchmark].items() if name in rows]
    score, size = "accuracy", "bundle MB"
    if any(row.f1 for _, row in chosen):
        score, size = "F1", "model MB"
    elif any(row.values for _, row in chosen):
        score, size = "Spearman", "model MB"
    lines = [
        [
            title,
            COLUMNS[score](row),
            COLUMNS["agreement"](row),
            COLUMNS["p50 ms"](row),
            f"{_times(chosen[0][1], row):.1f}×",
            COLUMNS["MB"](row),
        ]
        for title, row in chosen
    ]
    header = ["model", f"{score} %", "agreement", "p50 ms", "speed-up", size]
    return markdown(header, lines) + "\n" + caption(result) + "\n"


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
    """Return the files whose tables are not current, with what they should say."""
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
    for name, source in DRAWINGS.items():
        if (root / name).exists() and (root / name).read_text(encoding="utf-8") != (
            wanted := drawing(load(results / f"{source}.json"))
        ):
            found[root / name] = wanted
    return found


def drawing(result: Result) -> str:
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
