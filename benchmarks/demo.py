"""Times ``make demo`` from a fresh clone: installation, from an empty cache, with the teacher cached.

    python -m benchmarks.demo [--python python3.12]

Clones the committed state of this repository into a temporary folder and works only there. Also keeps
a bench of its bundle. Writes benchmarks/results/<machine>/demo.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.results import Check, Latency, Result, Row, now, this_machine, write
from benchmarks.rounds import ROOT, speed_up
from benchmarks.watch import Watched, run
from edgeroberta.errors import EdgeRobertaError

logger = logging.getLogger(__name__)

#: The Makefile's target that only installs, the program it installs, and where the demo leaves its bundle.
INSTALLED = ".venv/stamps/demo"
PROGRAM = Path(".venv/bin/edgeroberta")
BUNDLE = Path("out/demo")
#: Rows of the bundle's bench table that the promises compare.
FLOAT_ONNX, COMPRESSED = "baseline, onnx fp32", "bundle"


def make(clone: Path, cache: Path, python: str, *targets: str) -> Watched:
    """Run make in the clone, with a cache of its own.

    Raises:
        EdgeRobertaError: It failed.
    """
    logger.info("make %s", " ".join(targets))
    environment = {"EDGEROBERTA_CACHE": str(cache)}
    watched = run(["make", f"PYTHON={python}", *targets], cwd=clone, environment=environment)
    if watched.code:
        raise EdgeRobertaError(f"make {' '.join(targets)} failed: {watched.tail}", where="fresh clone")
    return watched


def timed_runs(clone: Path, cache: Path, python: str) -> list[Row]:
    """Install, then run the demo from an empty cache, then again with only the teacher kept."""
    installed = make(clone, cache, python, INSTALLED)
    cold = make(clone, cache, python, "demo")
    # The whole folder: the work folder beside the bundle would let the second run reuse stages.
    shutil.rmtree(clone / BUNDLE.parent)
    warm = make(clone, cache, python, "demo")
    titles = ("installation", "make demo, empty cache", "make demo, teacher cached")
    names = ("install", "cold", "cached")
    return [
        Row(name=name, title=title, values=(("seconds", watched.seconds), ("peak MB", watched.peak_mb)))
        for name, title, watched in zip(names, titles, (installed, cold, warm), strict=True)
    ]


def bench_rows(bundle: Path) -> list[Row]:
    """Turn the bundle's reports/bench.json into rows; ratios are against fp32 ONNX in ONNX Runtime."""
    table: dict[str, Any] = json.loads((bundle / "reports" / "bench.json").read_text(encoding="utf-8"))
    baseline = next((row for row in table["rows"] if row["name"] == FLOAT_ONNX and row["latency"]), None)
    return [_bench_row(row, baseline) for row in table["rows"]]


def _bench_row(row: dict[str, Any], baseline: dict[str, Any] | None) -> Row:
    """Translate one row of ``edgeroberta bench``."""
    fields: dict[str, Any] = {
        "name": row["name"],
        "title": f"{row['name']} ({row['engine']})",
        "group": "the demo's own table",
        "accuracy": None if row["metric"] is None else round(row["metric"], 4),
        "same_answers": None if row["agreement"] is None else round(row["agreement"], 4),
        "size_mb": None if row["bytes"] is None else round(row["bytes"] / 1e6, 2),
    }
    if row["latency"] is None:
        return Row(**fields, status="failed", error=row["detail"] or row["status"])
    timed = row["latency"]
    latency = Latency(
        n=timed["calls"],
        warm_up=timed["warmup"],
        p50=round(timed["p50_ms"], 4),
        p90=round(timed["p90_ms"], 4),
        p99=round(timed["p99_ms"], 4),
        round_p50=tuple(round(value, 4) for value in timed["round_p50_ms"]),
    )
    rounds = timed["round_p50_ms"]
    # A stored row was measured at another time, perhaps elsewhere: its rounds are not the others'.
    if baseline is not None and row["status"] != "stored":
        base_rounds = baseline["latency"]["round_p50_ms"]
        fields["ratio"] = speed_up([[value] for value in base_rounds], [[value] for value in rounds])
    return Row(**fields, latency=latency)


def checks(rows: list[Row]) -> tuple[Check, ...]:
    """Hold time, speed and accuracy to the promises."""
    seconds = {row.name: dict(row.values)["seconds"] for row in rows if row.values}
    found = [
        Check(title="make demo, empty cache, after installation", value=seconds["cold"], unit="s",
              direction="at most", bar=480),
        Check(title="make demo, teacher cached", value=seconds["cached"], unit="s",
              direction="at most", bar=240),
    ]  # fmt: skip
    full = next((row for row in rows if row.name == FLOAT_ONNX), None)
    students = [row for row in rows if row.name == COMPRESSED and row.ratio and row.accuracy]
    if full is None or not full.accuracy or not students:
        return tuple(found)
    best = max(students, key=lambda row: row.ratio or 0.0)
    kept = round((best.accuracy or 0.0) / full.accuracy, 4)
    return (
        *found,
        Check(title="demo student: p50 against the baseline as fp32 ONNX", value=best.ratio or 0.0,
              unit="x", direction="at least", bar=3.5),
        Check(title="demo student: share of the baseline's accuracy", value=kept, unit="",
              direction="at least", bar=0.97),
    )  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter the Makefile is given")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine = this_machine(arguments.machine)
    with tempfile.TemporaryDirectory() as folder:
        clone, cache = Path(folder) / "clone", Path(folder) / "cache"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        rows = timed_runs(clone, cache, arguments.python)
        # The demo itself ends without it, to be quick.
        subprocess.run([clone / PROGRAM, "bench", BUNDLE], cwd=clone, check=True)
        rows += bench_rows(clone / BUNDLE)
    result = Result(
        benchmark="demo", measured=now(), machine=machine, settings={"recipe": "int8-distill, quick"},
        rows=tuple(rows), checks=checks(rows),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
