"""Budgets in place of a recipe: what ``compress --speedup`` predicts, and what its bundle then measures.

    python -m benchmarks.budget CHECKPOINT --data train.tsv --eval-data dev.tsv --work DIR

One run for each speed-up, one thread, one pass of distillation over the rows. The device is measured once, by
the first run, unless its latency table is in the cache. Writes benchmarks/results/<machine>/budget.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.errors import EdgeRobertaError

logger = logging.getLogger(__name__)

SPEEDUPS = (2.5, 4.0, 6.0)
#: Most that a prediction may be off, in percent of what was measured.
BAR = 15.0
#: Exit codes of compress with a bundle: all met, or something missed.
MADE = (0, 3)
REPORT = "reports/budget.json"


@dataclass(frozen=True)
class Setting:
    """What all runs share.

    Attributes:
        model: Fine-tuned checkpoint.
        data: Training rows.
        eval_data: Held-out rows.
        limit: Rows of each file at most.
        target: Class of device; its first engine is measured.
        keep: Share of the metric that is asked for.
        recipe: Says how candidates learn.
        overrides: Settings of the recipe.
        work: Where bundles go.
    """

    model: str
    data: str
    eval_data: str
    limit: int
    target: str
    keep: float
    recipe: str
    overrides: tuple[str, ...]
    work: Path


def made(setting: Setting, speedup: float) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Run ``compress --speedup`` and return its report of the budget and its Pareto front.

    Raises:
        EdgeRobertaError: There is no bundle.
    """
    output = setting.work / f"speedup-{speedup:g}"
    command = [
        sys.executable, "-m", "edgeroberta", "compress", setting.model, "--data", setting.data,
        "--eval-data", setting.eval_data, "--limit", str(setting.limit), "--target", setting.target,
        "--recipe", setting.recipe, "--speedup", f"{speedup:g}", "--keep", f"{setting.keep:g}",
        "-o", str(output),
    ]  # fmt: skip
    for each in setting.overrides:
        command += ["--set", each]
    logger.info("compress --speedup %g", speedup)
    code = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode
    if code not in MADE:
        raise EdgeRobertaError(f"compress --speedup {speedup:g} ended with {code}", where="benchmarks")
    report = json.loads((output / REPORT).read_text(encoding="utf-8"))
    pareto = json.loads((output / "reports" / "pareto.json").read_text(encoding="utf-8"))
    return report, pareto


def off(predicted: float, measured: float) -> float:
    """Return how far a prediction is off, in percent of what was measured; below 0 where it was too short."""
    return 100 * (predicted / measured - 1)


def row(speedup: float, report: Mapping[str, Any], pareto: Mapping[str, Any]) -> Row:
    """Make the row of a budget: what was predicted, beside what was measured.

    Args:
        speedup: What was asked for.
        report: ``reports/budget.json`` of the bundle.
        pareto: ``reports/pareto.json`` of the bundle; its last point is the bundle's.
    """
    predicted, measured, pace = report["predicted"], report["measured"], report["baseline"]["clock_ratio"]
    values: list[tuple[str, float]] = []
    for name in ("p50", "p95"):
        then, found = predicted[f"{name}_ms"], measured[f"{name}_ms"]
        values += [
            (f"predicted {name} ms", round(then, 4)),
            (f"measured {name} ms", round(found, 4)),
            (f"{name} off %", round(off(then, found), 2)),
            (f"{name} off at the machine's pace %", round(off(then * pace, found), 2)),
        ]
    values += [
        ("predicted times as fast", round(predicted["speedup"], 3)),
        ("measured times as fast", round(measured["speedup"], 3)),
        ("predicted MB", round(predicted["bytes"] / 1e6, 3)),
        ("measured MB", round(measured["bytes"] / 1e6, 3)),
        ("machine's pace", round(pace, 3)),
        ("layers", len(report["chosen"]["layers"])),
        ("accuracy %", round(100 * pareto["points"][-1]["metric"], 2)),
        ("metric kept %", round(100 * report["kept"], 2)),
    ]
    title = f"`--speedup {speedup:g}`"
    return Row(
        name=f"speedup-{speedup:g}",
        title=title,
        accuracy=pareto["points"][-1]["metric"],
        kept=(report["kept"],),
        ratio=measured["speedup"],
        size_mb=measured["bytes"] / 1e6,
        values=tuple(values),
    )


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the prediction of every budget to what was promised."""
    return tuple(
        Check(
            title=f"predicted p50 against measured, {each.title.strip('`')}",
            value=abs(dict(each.values)["p50 off %"]),
            unit="%",
            direction="at most",
            bar=BAR,
        )
        for each in rows
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="fine-tuned checkpoint")
    parser.add_argument("--data", required=True, help="training rows")
    parser.add_argument("--eval-data", required=True, help="held-out rows")
    parser.add_argument("--work", type=Path, required=True, help="where bundles go, and stay")
    parser.add_argument("--limit", type=int, default=8000, help="rows of each file at most")
    parser.add_argument("--target", default="cpu", help="cpu times ONNX Runtime, intel-cpu OpenVINO")
    parser.add_argument("--keep", type=float, default=0.9, help="share of the metric that is asked for")
    parser.add_argument("--speedups", type=float, nargs="+", default=list(SPEEDUPS))
    parser.add_argument("--recipe", default="int8-distill", help="says how candidates learn")
    parser.add_argument(
        "--set", nargs="*", default=["distill.epochs=1"], help="settings of the recipe; short training"
    )
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    setting = Setting(
        arguments.model, arguments.data, arguments.eval_data, arguments.limit, arguments.target,
        arguments.keep, arguments.recipe, tuple(arguments.set), arguments.work.resolve(),
    )  # fmt: skip
    machine, rows, engine = this_machine(arguments.machine), [], ""
    for speedup in arguments.speedups:
        report, pareto = made(setting, speedup)
        rows.append(row(speedup, report, pareto))
        engine = report["engine"]
        logger.info("%s", rows[-1])
    settings: dict[str, Any] = {
        "engine": engine, "threads": 1, "rows": setting.limit, "recipe": setting.recipe,
        "overrides": list(setting.overrides), "keep": setting.keep,
    }  # fmt: skip
    result = Result(
        benchmark="budget" if arguments.target == "cpu" else f"budget-{arguments.target}",
        measured=now(), machine=machine, settings=settings, rows=tuple(rows), checks=checks(rows),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
