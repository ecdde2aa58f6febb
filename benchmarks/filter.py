"""The filter ``edgeroberta run`` beside the engine's own offline throughput; its memory over a million rows.

    python -m benchmarks.filter BUNDLE… --data TSV [--rows 20000] [--memory-rows 1000000]

DATA is labelled texts, of which the texts count. Each bundle answers the same rows in turns: in calls of one
batch of texts of like length, as ``edgeroberta bench`` measures the offline throughput
(``edgeroberta/measure/offline.py``), and through the filter, from Parquet to Parquet. Both run in one
process, on one thread, and its processor time counts: another program on the machine then takes from both
alike. The first bundle is the one that the promise is about. The last one, which should be small, answers
``--memory-rows`` rows in a process of its own, whose resident memory is looked at all the while. Writes
benchmarks/results/<machine>/filter.json.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet

import edgeroberta
from benchmarks import texts, watch
from benchmarks.results import Check, Result, Row, now, this_machine, write
from benchmarks.rounds import ROOT
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.hardware import versions
from edgeroberta.measure import offline
from edgeroberta.progress import Progress
from edgeroberta.runtime import Runtime

logger = logging.getLogger(__name__)

ENGINE = "onnxruntime"
BATCHES = (8, 32)
#: The share of the engine's own throughput that the filter keeps, and the MB by which its memory may grow
#: from the first quarter of the run to the last: one row group that is larger than another is no growth.
SHARE_BAR, GROWTH_BAR = 0.9, 16.0
#: Seconds between two looks at the memory.
LOOK = 0.25


def processor_time(work: Callable[[], object]) -> float:
    """Return the processor seconds that a piece of work takes, of all threads."""
    started = time.process_time()
    work()
    return time.process_time() - started


def answer_calls(runtime: Runtime, inputs: Sequence[str], batch: int) -> None:
    """Answer texts as the offline measurement does."""
    for rows in offline.batches(range(len(inputs)), [len(text) for text in inputs], batch):
        runtime([inputs[row] for row in rows] if len(rows) > 1 else inputs[rows[0]])


def throughput_row(bundle: Path, inputs: Sequence[str], batch: int, rounds: int) -> Row:
    """Let a bundle answer in both ways, in turns; the first round of each is not counted."""
    with (
        tempfile.TemporaryDirectory() as folder,
        edgeroberta.load(bundle, engine=ENGINE, threads=1, max_batch=batch) as runtime,
    ):
        source, output = Path(folder, "in.parquet"), Path(folder, "out.parquet")
        pyarrow.parquet.write_table(pyarrow.table({"text": list(inputs)}), source)

        def filter_rows() -> None:
            edgeroberta.annotate(runtime, source, output=output, progress=Progress())

        pairs = []
        for turn in range(rounds + 1):
            works = [lambda: answer_calls(runtime, inputs, batch), filter_rows]
            first = processor_time(works[turn % 2])
            second = processor_time(works[1 - turn % 2])
            pairs.append((first, second) if turn % 2 == 0 else (second, first))
    shares = [engine / ours for engine, ours in pairs[1:]]
    per_text = [1e6 / len(inputs) * statistics.median(times) for times in zip(*pairs[1:], strict=True)]
    values = {
        "engine's own, µs a text": per_text[0],
        "filter, µs a text": per_text[1],
        "share of the engine's own": statistics.median(shares),
        "least share of a round": min(shares),
        "largest share of a round": max(shares),
    }
    return Row(
        name=f"{bundle.name}-{batch}",
        title=f"{bundle.name}, batch {batch}",
        group="Processor time",
        versions=versions(("edgeroberta", ENGINE, "tokenizers", "pyarrow", "numpy")),
        values=tuple((name, round(value, 3)) for name, value in values.items()),
    )


def memory_row(bundle: Path, inputs: Sequence[str], rows: int) -> Row:
    """Run the filter over many rows in a process of its own, and look at its memory.

    Raises:
        EdgeRobertaError: The command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in.parquet"), Path(folder, "out.parquet")
        _write_many(source, inputs, rows)
        command = [sys.executable, "-m", "edgeroberta", "run", str(bundle), str(source), "-o", str(output)]
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [*command, "--threads", "1", "--engine", ENGINE], cwd=ROOT, stderr=said,
                env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
            )  # fmt: skip
            started, seen = time.monotonic(), list[float]()
            while process.poll() is None:
                if list(Path(folder).glob(".out.parquet.*")):  # it has begun to answer
                    seen.append(watch.resident_bytes(process.pid) / 1e6)
                time.sleep(LOOK)
            seconds = time.monotonic() - started
            said.seek(0)
            if process.returncode or pyarrow.parquet.read_metadata(output).num_rows != rows:
                raise EdgeRobertaError(f"the filter failed: {said.read()[-500:]}", where="benchmarks")
    quarter = max(1, len(seen) // 4)
    quarters = [statistics.median(seen[at : at + quarter]) for at in range(0, 4 * quarter, quarter)]
    values = {
        "rows": float(rows),
        "seconds": seconds,
        **{f"resident MB, quarter {number}": value for number, value in enumerate(quarters, 1)},
        "most resident MB": max(seen),
        "growth MB": quarters[-1] - quarters[0],
    }
    return Row(
        name="memory",
        title=f"{bundle.name}, Parquet to Parquet",
        group="Memory",
        values=tuple((name, round(value, 3)) for name, value in values.items()),
    )


def _write_many(file: Path, inputs: Sequence[str], rows: int) -> None:
    """Write texts over and over, each with its number, so that no two are alike."""
    schema = pyarrow.schema([("id", pyarrow.int64()), ("text", pyarrow.string())])
    numbered = enumerate(itertools.islice(itertools.cycle(inputs), rows))
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while part := list(itertools.islice(numbered, 1 << 17)):
            columns = [[number for number, _ in part], [f"{text} {number}" for number, text in part]]
            writer.write_table(pyarrow.table(columns, schema=schema))


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the first bundle, and the memory, to what was promised."""
    found = []
    for row in rows[: len(BATCHES)]:
        title = f"run FILE -o FILE: share of the engine's offline throughput, {row.title}"
        share = dict(row.values)["share of the engine's own"]
        found.append(Check(title=title, value=share, unit="", direction="at least", bar=SHARE_BAR))
    memory = dict(rows[-1].values)
    title = f"run FILE -o FILE: growth of its memory over {memory['rows']:,.0f} rows"
    growth = memory["growth MB"]
    return (*found, Check(title=title, value=growth, unit="MB", direction="at most", bar=GROWTH_BAR))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, nargs="+", help="bundle folders, the smallest one last")
    parser.add_argument("--data", type=Path, required=True, help="labelled texts")
    parser.add_argument("--rows", type=int, default=20_000, help="rows that both ways answer")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way")
    parser.add_argument("--memory-rows", type=int, default=1_000_000, help="rows while memory is watched")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    machine = this_machine(arguments.machine)
    inputs = list(texts.read(arguments.data, arguments.bundle[0], arguments.rows).texts)
    rows = [
        throughput_row(bundle.resolve(), inputs, batch, arguments.rounds)
        for bundle in arguments.bundle
        for batch in BATCHES
    ]
    rows.append(memory_row(arguments.bundle[-1].resolve(), inputs, arguments.memory_rows))
    settings: dict[str, str | int | float | list[str]] = {
        "rows": len(inputs), "data": arguments.data.name, "rounds": arguments.rounds, "threads": 1,
        "engine": ENGINE,
    }  # fmt: skip
    result = Result(
        benchmark="filter", measured=now(), machine=machine, settings=settings, rows=tuple(rows),
        checks=checks(rows),
    )  # fmt: skip
    for check in result.checks:
        logger.info("%s  %s: %g %s", "ok  " if check.ok else "FAIL", check.title, check.value, check.unit)
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
