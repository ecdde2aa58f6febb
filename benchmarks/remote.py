"""What measuring over ssh adds: the bench of a bundle here and on a loopback host, in turns.

    python -m benchmarks.remote BUNDLE HOST [--pairs 5]

HOST is this machine over ssh, as ``--host`` takes it. Writes
benchmarks/results/<machine>/remote.json.
"""

from __future__ import annotations

import argparse
import logging
import statistics
from pathlib import Path

from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.bench.benchmark import Request, benchmark
from edgeroberta.bench.comparison import BUNDLE, Comparison
from edgeroberta.bench.remote import run_remote
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress

logger = logging.getLogger(__name__)


def medians(comparison: Comparison) -> dict[str, float]:
    """Return the p50 in milliseconds per engine.

    Raises:
        EdgeRobertaError: The bundle was not measured.
    """
    rows = [row for row in comparison.rows if row.name == BUNDLE and row.latency is not None]
    if not rows:
        raise EdgeRobertaError("the bundle was not measured", where="benchmarks.remote")
    return {row.engine: row.latency.p50_ms for row in rows if row.latency is not None}


def one(request: Request, host: str | None) -> dict[str, float]:
    """Measure here, or on the host."""
    if host is None:
        return medians(benchmark(request, progress=Progress()))
    (result,) = run_remote(request, [host], progress=Progress())
    if result.comparison is None:
        raise result.error or EdgeRobertaError("no result", where=host)
    return medians(result.comparison)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("host", help="this machine over ssh")
    parser.add_argument("--pairs", type=int, default=5, help="local and remote runs")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each run")
    parser.add_argument("--rows", type=int, default=100, help="rows to check answers on")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine = this_machine(arguments.machine)
    request = Request(arguments.bundle.resolve(), rounds=arguments.rounds, rows=arguments.rows)
    one(request, arguments.host)  # ships everything and makes the environment
    here: list[dict[str, float]] = []
    there: list[dict[str, float]] = []
    for pair in range(arguments.pairs):
        # The order alternates, so that a machine that slows down does not do so for one of them.
        for host in (None, arguments.host) if pair % 2 == 0 else (arguments.host, None):
            (here if host is None else there).append(one(request, host))
        logger.info("%s here, %s there", here[-1], there[-1])
    rows, checks = [], []
    for engine in here[0]:
        ratios = [remote[engine] / local[engine] for local, remote in zip(here, there, strict=True)]
        added = 100 * (statistics.median(ratios) - 1)
        values = {
            "here p50 ms": statistics.median(local[engine] for local in here),
            "there p50 ms": statistics.median(remote[engine] for remote in there),
            "added %": added,
        }
        rounded = tuple((name, round(value, 3)) for name, value in values.items())
        rows.append(Row(name=engine, title=f"the bundle on {engine}", values=rounded))
        title = f"latency added by measuring over ssh, {engine}"
        checks.append(Check(title=title, value=round(added, 2), unit="%", direction="at most", bar=2.0))
    settings = {"pairs": arguments.pairs, "rounds": arguments.rounds}
    result = Result(
        benchmark="remote", measured=now(), machine=machine, settings=settings, rows=tuple(rows),
        checks=tuple(checks),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
