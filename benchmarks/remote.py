"""What measuring over ssh adds: the bench of a bundle here and on a loopback host, in turns.

    python -m benchmarks.remote BUNDLE HOST [--pairs 8] [--engines onnxruntime]

HOST is this machine over ssh, as ``--host`` takes it, with the same versions of the engines. Compared is
the fastest round of a run: other programs, and what follows the job, only ever add to a round, but the
latter does so in each of them, since it looks once a second and a round takes as long.
Writes benchmarks/results/<machine>/remote.json.
"""

from __future__ import annotations

import argparse
import logging
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import Check, Machine, Result, Row, now, this_machine, write
from edgeroberta.benchmark.comparison import BUNDLE, Comparison
from edgeroberta.benchmark.hosts import run_remote
from edgeroberta.benchmark.run import BenchRequest, benchmark
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.measure.clock import Latency
from edgeroberta.progress import Progress

logger = logging.getLogger(__name__)

Latencies = dict[str, Latency]
Pair = tuple[Latencies, Latencies]


def latencies(comparison: Comparison) -> Latencies:
    """Return the latency per engine.

    Raises:
        EdgeRobertaError: The bundle was not measured.
    """
    found = {
        row.engine: row.latency for row in comparison.rows if row.name == BUNDLE and row.latency is not None
    }
    if not found:
        raise EdgeRobertaError("the bundle was not measured", where="benchmarks.remote")
    return found


def one(request: BenchRequest, host: str | None) -> Latencies:
    """Measure here, or on the host."""
    if host is None:
        return latencies(benchmark(request, progress=Progress()))
    (result,) = run_remote(request, [host], progress=Progress())
    if result.comparison is None:
        raise result.error or EdgeRobertaError("no result", where=host)
    return latencies(result.comparison)


def best(latency: Latency) -> float:
    """Return the lowest median of a round, in milliseconds."""
    return min(latency.round_p50_ms)


def added(pairs: Sequence[Pair], engine: str) -> dict[str, float]:
    """Compare the two runs of each pair.

    Args:
        pairs: What was measured here, and over ssh right before or after.
        engine: One that both have.

    Returns:
        Medians over the pairs: milliseconds per text, and per cent added.
    """
    both = [(here[engine], there[engine]) for here, there in pairs]
    return {
        "here, best round ms": statistics.median(best(here) for here, _ in both),
        "over ssh, best round ms": statistics.median(best(there) for _, there in both),
        "added %": 100 * (statistics.median(best(there) / best(here) for here, there in both) - 1),
        "here p50 ms": statistics.median(here.p50_ms for here, _ in both),
        "over ssh p50 ms": statistics.median(there.p50_ms for _, there in both),
        "added p50 %": 100 * (statistics.median(there.p50_ms / here.p50_ms for here, there in both) - 1),
    }


def summary(
    pairs: Sequence[Pair], machine: Machine, settings: dict[str, str | int | float | list[str]]
) -> Result:
    """Make the result of all pairs."""
    rows, checks = [], []
    for engine in pairs[0][0]:
        values = {name: round(value, 2) for name, value in added(pairs, engine).items()}
        rows.append(Row(name=engine, title=f"the bundle on {engine}", values=tuple(values.items())))
        title = f"latency that measuring over ssh adds, {engine}"
        checks.append(Check(title=title, value=values["added %"], unit="%", direction="at most", bar=2.0))
    return Result(
        benchmark="remote",
        measured=now(),
        machine=machine,
        settings=settings,
        rows=tuple(rows),
        checks=tuple(checks),
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("host", help="this machine over ssh")
    parser.add_argument("--pairs", type=int, default=8, help="local and remote runs")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each run")
    parser.add_argument("--rows", type=int, default=100, help="rows to check answers on")
    parser.add_argument("--engines", help="with commas; all of the bundle's if not given")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine = this_machine(arguments.machine)
    request = BenchRequest(
        arguments.bundle.resolve(),
        rounds=arguments.rounds,
        rows=arguments.rows,
        engines=tuple(arguments.engines.split(",")) if arguments.engines else None,
    )
    one(request, arguments.host)  # ships everything and makes the environment
    pairs: list[Pair] = []
    for pair in range(arguments.pairs):
        # The order alternates, so that a machine that slows down does not do so for one of them.
        found = {host: one(request, host) for host in (None, arguments.host)[:: 1 if pair % 2 == 0 else -1]}
        pairs.append((found[None], found[arguments.host]))
        for engine, here in pairs[-1][0].items():
            there = pairs[-1][1][engine]
            logger.info("%s: %.2f ms here, %.2f over ssh (best rounds)", engine, best(here), best(there))
    settings: dict[str, str | int | float | list[str]] = {
        "pairs": arguments.pairs,
        "rounds": arguments.rounds,
        "rows": arguments.rows,
    }
    logger.info("%s", write(summary(pairs, machine, settings)))


if __name__ == "__main__":
    main()
