"""What comparisons with transformers' pipelines have in common: contestants, arguments, ratios, results."""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks import rounds
from benchmarks.peers.environments import cache_folder, environment
from benchmarks.peers.forms import exported
from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.data import DataSpec, Rows, load_heldout
from edgeroberta.data.masking import MaskReader
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import digest_tree
from edgeroberta.tasks import Task

logger = logging.getLogger(__name__)

BASELINE, PEER = "transformers", "optimum-int8"
ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


@dataclass(frozen=True)
class Comparison:
    """One task's comparison: bundles of a model beside the pipeline of the checkpoint they were made of."""

    name: str  # of the benchmark, and of its results file
    module: str  # where its contestants are opened: transformers_pipeline, optimum, edgeroberta
    task: str  # what Optimum calls the task
    #: rows with figures of the answers, and the promises; of rows, timings, the held-out rows and the task
    judge: Callable[[Sequence[Row], Mapping[str, rounds.Timings], Rows, Task], Judged]
    items: Callable[[Rows], Sequence[Any]]  # what contestants answer, as JSON
    #: environment of the pipeline; transformers 5 has none for questions
    pipeline: str = "transformers"
    peer: bool = True  # whether Optimum's dynamic int8 takes part


@dataclass(frozen=True)
class Judged:
    """What is told of a comparison."""

    rows: Sequence[Row]
    checks: Sequence[Check]


def contestants(
    comparison: Comparison, checkpoint: Path, bundles: Mapping[str, Path], cache: Path
) -> list[rounds.Entry]:
    """Make the table of contestants, creating environments and the peer's model as needed."""
    module = comparison.module
    entries = [
        rounds.Entry(
            BASELINE, "transformers pipeline, fp32",
            environment(comparison.pipeline, cache=cache), f"{module}:transformers_pipeline",
            {"model": str(checkpoint)},
        )
    ]  # fmt: skip
    if comparison.peer:
        optimum = environment("optimum", cache=cache)
        _, int8 = exported(checkpoint, optimum, cache, task=comparison.task)
        entries.append(
            rounds.Entry(
                PEER, "Optimum ORTModel + pipeline, dynamic int8",
                optimum, f"{module}:optimum", {"model": str(int8), "file_name": "model_quantized.onnx"},
            )
        )  # fmt: skip
    return [*entries, *bundle_entries(module, bundles)]


def bundle_entries(module: str, bundles: Mapping[str, Path]) -> list[rounds.Entry]:
    """Make a contestant of each bundle on each engine; ``module`` opens them by its ``edgeroberta``."""
    return [
        rounds.Entry(
            f"{name}/{engine}",
            f"`{name}`, {title}",
            Path(sys.executable),
            f"{module}:edgeroberta",
            {"bundle": str(bundle), "engine": engine},
        )
        for name, bundle in bundles.items()
        for engine, title in ENGINES.items()
    ]


def times(slower: Row, faster: Row) -> float:
    """Return how many times faster one is: the median over rounds of p50 against p50."""
    if slower.latency is None or faster.latency is None:
        return 0.0
    pairs = zip(slower.latency.round_p50, faster.latency.round_p50, strict=True)
    return statistics.median(one / other for one, other in pairs)


def mean_times(slower: Row, faster: Row) -> float:
    """Return how many times faster one is: the median over rounds of mean against mean."""
    if slower.latency is None or faster.latency is None:
        return 0.0
    pairs = zip(slower.latency.round_mean, faster.latency.round_mean, strict=True)
    return statistics.median(one / other for one, other in pairs)


def promise(
    title: str, value: float, direction: Literal["at least", "at most"], bar: float, unit: str = ""
) -> Check:
    """Hold a number to a promise."""
    return Check(title=title, value=round(value, 4), unit=unit, direction=direction, bar=bar)


def held(
    rows: Sequence[Row], promised: Callable[[str, Row, Row], Sequence[Check]], *, faster: float, same: str
) -> tuple[Check, ...]:
    """Hold the bundles of a comparison to what was promised of their recipes, if anything was.

    ``promised``: the checks of a recipe's row beside the baseline's; none for a recipe that nothing is
    promised of. ``faster``: times that each is to be faster than the baseline. ``same``: what is the same
    where an answer is the baseline's; it is to be so in 97 of 100.
    """
    by_name = {row.name: row for row in rows if row.status == "ok"}
    full, peer = by_name[BASELINE], by_name.get(PEER)
    found: list[Check] = []
    for row in by_name.values():
        own, title = promised(row.name.partition("/")[0], row, full), row.title
        if not own:
            continue
        pipeline = f"{title}: p50 against transformers' pipeline"
        found += [
            *own,
            promise(f"{title}: {same}", row.same_answers or 0.0, "at least", 0.97),
            promise(pipeline, times(full, row), "at least", faster, "x"),
        ]
        if peer is not None:
            beside = f"{title}: p50 against Optimum's dynamic int8"
            found.append(promise(beside, times(peer, row), "at least", 1.0, "x"))
    return tuple(found)


def named(given: Sequence[str]) -> dict[str, Path]:
    """Read ``NAME=FOLDER`` arguments."""
    return {name: Path(folder).resolve() for name, _, folder in (each.partition("=") for each in given)}


def main(comparison: Comparison, description: str | None) -> None:
    """Read the command line, run a comparison, and write its result."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="fine-tuned Hugging Face folder")
    parser.add_argument("data", help="rows, as for `edgeroberta compress --data`")
    parser.add_argument("--eval-data", help="rows that are asked; else those that DATA holds out")
    parser.add_argument("--bundle", action="append", required=True, help="NAME=FOLDER of a bundle of it")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds over all texts")
    parser.add_argument("--limit", type=int, help="use this many rows only")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where environments are kept")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine, checkpoint = this_machine(arguments.machine), arguments.checkpoint.resolve()
    model = Checkpoint(checkpoint)
    task, spec = model.task, DataSpec(arguments.data, eval_data=arguments.eval_data, limit=arguments.limit)
    masks = MaskReader.of(task, checkpoint, model.max_length)
    heldout = load_heldout(spec, task, masks=masks)
    entries = contestants(comparison, checkpoint, named(arguments.bundle), arguments.cache)
    timings = rounds.measure(entries, comparison.items(heldout), rounds=arguments.rounds, threads=1)
    rows = rounds.rows(entries, timings, baseline=BASELINE)
    judged = comparison.judge(rows, timings, heldout, task)
    result = Result(
        benchmark=comparison.name,
        measured=now(),
        machine=machine,
        settings={
            "data": Path(arguments.eval_data or arguments.data).name,
            "texts": len(heldout),
            "rounds": arguments.rounds,
            "batch": 1,
            "threads": 1,
            "data_digest": heldout.digest,
            "checkpoint_digest": digest_tree(checkpoint),
        },
        rows=tuple(judged.rows),
        checks=tuple(judged.checks),
    )
    logger.info("%s", write(result))
