"""Is the program of examples/cpp as fast as the Python runtime? The same bundle and texts, in turns.

    python -m benchmarks.native PROGRAM BUNDLE TEXTS [--rounds 8] [--calls 1000]

PROGRAM is what CMake built of examples/cpp, with the library of this environment's onnxruntime; TEXTS has one
per line. A call is tokenizing, the engine and reading the answer, one text at a time, one thread. In each
round both programs start, warm up and are timed, one after the other; the next round begins with the other.
What is compared is the median of a call in processor time, which other load on the machine moves less than
the clock.

Writes benchmarks/results/<machine>/native.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import RESULTS, Check, Result, Row, now, this_machine, write

WARM_UP = 200
#: How much of the Python runtime's speed the program has at least.
BAR = 0.95
#: Name to what the table calls it.
PROGRAMS = {"python": "Python runtime", "cpp": "`examples/cpp`"}


def python_half(bundle: str, texts: Sequence[str], calls: int) -> dict[str, float]:
    """Time the Python runtime, as ``bundle bench`` does itself; milliseconds."""
    import numpy as np

    from edgeroberta.runtime import Runtime

    clock, processor = [], []
    with Runtime.open(bundle, engine="onnxruntime", threads=1) as runtime:
        for number in range(WARM_UP):
            runtime(texts[number % len(texts)])
        for number in range(calls):
            started, used = time.perf_counter(), time.process_time()
            runtime(texts[number % len(texts)])
            processor.append((time.process_time() - used) * 1e3)
            clock.append((time.perf_counter() - started) * 1e3)
    return {
        "p50_ms": float(np.median(clock)),
        "processor_p50_ms": float(np.median(processor)),
        "processor_p99_ms": float(np.percentile(processor, 99)),
    }


def commands(program: Path, bundle: Path, texts: Path, calls: int) -> dict[str, list[str]]:
    """Return how each program is started."""
    half = [sys.executable, "-m", "benchmarks.native", str(program), str(bundle), str(texts)]
    timed = ["--texts", str(texts), "--calls", str(calls), "--warm-up", str(WARM_UP), "--threads", "1"]
    return {
        "python": [*half, "--calls", str(calls), "--half"],
        "cpp": [str(program), "bench", str(bundle), *timed],
    }


def measured(started: dict[str, list[str]], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run both programs in turns; returns what each said, round by round."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in started}
    for number in range(rounds):
        for name in sorted(started, reverse=number % 2 == 1):
            done = subprocess.run(started[name], capture_output=True, text=True, check=True, env=environment)
            found[name].append(json.loads(done.stdout))
    return found


def ratios(found: dict[str, list[dict[str, float]]]) -> list[float]:
    """Return how many times faster the program is, of each round."""
    pairs = zip(found["python"], found["cpp"], strict=True)
    return [python["processor_p50_ms"] / cpp["processor_p50_ms"] for python, cpp in pairs]


def row(name: str, found: dict[str, list[dict[str, float]]]) -> Row:
    """Make a row of the medians over rounds."""

    def middle(key: str) -> float:
        return round(statistics.median(each[key] for each in found[name]), 4)

    speeds = ratios(found) if name == "cpp" else [1.0]
    return Row(
        name=name,
        title=PROGRAMS[name],
        ratio=round(statistics.median(speeds), 3),
        values=(
            ("p50, processor time", middle("processor_p50_ms")),
            ("p99, processor time", middle("processor_p99_ms")),
            ("p50, clock", middle("p50_ms")),
            ("times faster", round(statistics.median(speeds), 3)),
            ("in the worst round", round(min(speeds), 3)),
            ("in the best round", round(max(speeds), 3)),
        ),
    )


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--machine", help="name of the folder of results, by default the processor's")
    parser.add_argument("--half", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    # At newlines alone, as the program reads them.
    texts = options.texts.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if options.half:
        print(json.dumps(python_half(str(options.bundle), texts, options.calls)))
        return
    machine = this_machine(options.machine)
    started = commands(options.program, options.bundle, options.texts, options.calls)
    found = measured(started, options.rounds)
    rows = tuple(row(name, found) for name in PROGRAMS)
    title = f"{PROGRAMS['cpp']}: p50 against the {PROGRAMS['python']}, processor time"
    check = Check(title=title, value=rows[1].ratio or 0.0, unit="x", direction="at least", bar=BAR)
    settings: dict[str, str | int | float | list[str]] = {
        "batch": 1, "calls": options.calls, "rounds": options.rounds, "texts": len(texts), "threads": 1,
    }  # fmt: skip
    result = Result(
        benchmark="native", measured=now(), machine=machine, settings=settings, rows=rows, checks=(check,)
    )
    print(write(result, folder=RESULTS), file=sys.stderr)


if __name__ == "__main__":
    main()
