"""The README's tables: few rows of one result, and a line for each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.layout import COLUMNS, caption, describe, markdown, version
from benchmarks.pipelines import times
from benchmarks.results import Result, Row

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
        "transformers-pipeline", _INT8, _PIPELINE,
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
                f"{times(full, ours):.1f}× {line.against}",
                version(found[name]),
            ]
        )
    header = ["task", "float → int8", "agreement", "p50 ms", "faster than", "measured with"]
    return (
        markdown(header, lines)
        + "\n"
        + f"*{describe(results[0].machine)}; one text at a time, one thread.*\n"
    )


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
            f"{times(chosen[0][1], row):.1f}×",
            COLUMNS["MB"](row),
        ]
        for title, row in chosen
    ]
    header = ["model", f"{score} %", "agreement", "p50 ms", "speed-up", size]
    return markdown(header, lines) + "\n" + caption(result) + "\n"
