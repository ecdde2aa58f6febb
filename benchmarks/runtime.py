"""What the runtime costs on a device: import, start, memory, growth, overhead over the bare engine.

    python -m benchmarks.runtime BUNDLE DATA [--calls 10000]

DATA is labelled texts; their lengths matter, their labels do not. Every number comes from a fresh
process. Writes benchmarks/results/<machine>/runtime.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.results import Check, Result, Row, now, this_machine, write
from benchmarks.rounds import ROOT
from benchmarks.texts import read
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.hardware import versions
from edgeroberta.runtime.manifest import read as read_manifest
from edgeroberta.runtime.session import ENGINES

logger = logging.getLogger(__name__)

IMPORTS = STARTS = 7


def child(*arguments: str, cache: str) -> dict[str, float]:
    """Run one measurement of :mod:`benchmarks.footprint` in a fresh process with its own cache.

    Raises:
        EdgeRobertaError: The process failed.
    """
    environment = {**os.environ, "EDGEROBERTA_CACHE": cache, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.footprint", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EdgeRobertaError(f"{arguments[0]} failed: {done.stderr.strip()[-500:]}", where="benchmarks")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def import_row() -> Row:
    """Measure the import; the first of several, which may read from a cold disk, counts like the others."""
    with tempfile.TemporaryDirectory() as cache:
        found = [child("import", cache=cache)["import_ms"] for _ in range(IMPORTS)]
    values = {"import median ms": statistics.median(found), "import worst ms": max(found)}
    return Row(name="import", title="import edgeroberta.runtime", values=rounded(values))


def engine_row(bundle: Path, engine: str, texts: Path, *, calls: int, overhead_rounds: int) -> Row:
    """Measure start, memory, growth and overhead of a bundle on one engine."""
    kept: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as cache:
        starts = []
        for _ in range(STARTS):
            with tempfile.TemporaryDirectory() as empty:
                starts.append(child("start", str(bundle), engine, cache=empty)["open_and_answer_ms"])
        child("start", str(bundle), engine, cache=cache)
        openings = [child("opening", str(bundle), engine, cache=cache) for _ in range(STARTS)]
        later = [child("start", str(bundle), engine, cache=cache) for _ in range(STARTS)]
        if ENGINES[engine].keeps_compiled:
            with tempfile.TemporaryDirectory() as folder:
                child("opening", str(bundle), engine, folder, cache=cache)
                again = [child("opening", str(bundle), engine, folder, cache=cache) for _ in range(STARTS)]
            kept = {"kept, open CPU ms": middle(again, "open_cpu_ms")}
        memory = child("growth", str(bundle), engine, str(texts), str(calls), cache=cache)
        extra = child("overhead", str(bundle), engine, str(texts), str(overhead_rounds), cache=cache)
    values = {
        "first start ms": statistics.median(starts),
        "later start ms": statistics.median(one["open_and_answer_ms"] for one in later),
        "open ms": middle(openings, "open_ms"),
        "open CPU ms": middle(openings, "open_cpu_ms"),
        "open resident MB": middle(openings, "resident_mb"),
        "open private MB": middle(openings, "private_mb"),
        **kept,
        "resident MB": memory["resident_mb"],
        "peak MB": memory["peak_mb"],
        "growth MB": memory["growth_mb"],
        "call p50 ms": extra["call_p50_ms"],
        "tokenizer p50 ms": extra["tokenizer_p50_ms"],
        "engine p50 ms": extra["engine_p50_ms"],
        "overhead %": extra["overhead_percent"],
    }
    packages = versions(("edgeroberta", engine, "tokenizers", "numpy"))
    return Row(name=engine, title=f"the bundle on {engine}", versions=packages, values=rounded(values))


def middle(found: list[dict[str, float]], name: str) -> float:
    """Return the median of a figure over processes."""
    return statistics.median(one[name] for one in found)


def rounded(values: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """Keep three decimals, and the order."""
    return tuple((name, round(value, 3)) for name, value in values.items())


def checks(rows: list[Row], calls: int) -> tuple[Check, ...]:
    """Hold the rows to the promises."""
    imported = dict(rows[0].values)["import median ms"]
    found = [
        Check(title="import edgeroberta.runtime", value=imported, unit="ms", direction="at most", bar=100)
    ]
    promises = (
        ("first start ms", "open + first answer", "ms", 1000.0),
        ("resident MB", "resident memory", "MB", 200.0),
        # One page-cache or allocator step is not growth; a leak of 100 bytes a call would be 1 MB.
        ("growth MB", f"growth over {calls:,} calls", "MB", 1.0),
        ("overhead %", "overhead over the bare engine call", "%", 10.0),
    )
    for row in (row for row in rows[1:] if row.status == "ok"):
        for key, title, unit, bar in promises:
            found.append(
                Check(title=f"{title}, {row.name}", value=dict(row.values)[key], unit=unit,
                      direction="at most", bar=bar)
            )  # fmt: skip
    return tuple(found)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path, help="labelled texts")
    parser.add_argument("--calls", type=int, default=10_000, help="calls over which memory must not grow")
    parser.add_argument("--limit", type=int, default=500, help="different texts to use")
    parser.add_argument("--overhead-rounds", type=int, default=5, help="rounds over the texts")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine = this_machine(arguments.machine)
    bundle = arguments.bundle.resolve()
    rows = [import_row()]
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.json"
        texts.write_text(json.dumps(read(arguments.data, bundle, arguments.limit).texts), encoding="utf-8")
        for engine in read_manifest(bundle).engines:
            logger.info("measuring on %s", engine)
            try:
                rows.append(
                    engine_row(bundle, engine, texts, calls=arguments.calls,
                               overhead_rounds=arguments.overhead_rounds)
                )  # fmt: skip
            except EdgeRobertaError as error:
                rows.append(
                    Row(name=engine, title=f"the bundle on {engine}", status="failed", error=str(error))
                )
    settings = {"data": arguments.data.name, "texts": arguments.limit, "calls": arguments.calls, "threads": 1}
    result = Result(
        benchmark="runtime", measured=now(), machine=machine, settings=settings, rows=tuple(rows),
        checks=checks(rows, arguments.calls),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
