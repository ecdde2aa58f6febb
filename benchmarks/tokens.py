"""Entities in texts: bundles of a model that labels tokens beside what a user would run instead.

    python -m benchmarks.tokens CHECKPOINT DATA --bundle int8=out/ [--bundle tiny=…] [--rounds 5]

``DATA`` is what ``edgeroberta compress --data`` takes; its held-out rows are asked. Batch 1, one thread, from
the text to its entities; every contestant lives in its own environment, and rounds interleave. An entity is
right when its label and both its ends are. Writes benchmarks/results/<machine>/tokens.json.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import rounds
from benchmarks.peers.environments import cache_folder, environment
from benchmarks.peers.run import exported
from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta.data import DataSpec, load_heldout
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import digest_tree
from edgeroberta.tasks.schemes import tag_table

logger = logging.getLogger(__name__)

BASELINE, PEER = "transformers", "optimum-int8"
ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
#: Recipe to the F1 that its bundle may lose, in points, and the share of the baseline's that it is to keep.
MOST_LOST, LEAST_KEPT = {"int8": 0.3, "int8-distill": 1.5}, {"tiny": 0.96}

Entity = tuple[str, int, int]


def contestants(checkpoint: Path, bundles: Mapping[str, Path], cache: Path) -> list[rounds.Entry]:
    """Make the table of contestants, creating environments and the peer's model as needed."""
    module = "benchmarks.peers.token_contestants"
    optimum = environment("optimum", cache=cache)
    _, int8 = exported(checkpoint, optimum, cache, task="token-classification")
    entries = [
        rounds.Entry(
            BASELINE, "transformers pipeline, fp32",
            environment("transformers", cache=cache), f"{module}:transformers_pipeline",
            {"model": str(checkpoint)},
        ),
        rounds.Entry(
            PEER, "Optimum ORTModel + pipeline, dynamic int8",
            optimum, f"{module}:optimum", {"model": str(int8), "file_name": "model_quantized.onnx"},
        ),
    ]  # fmt: skip
    for name, bundle in bundles.items():
        for engine, title in ENGINES.items():
            entries.append(
                rounds.Entry(
                    f"{name}/{engine}",
                    f"`{name}`, {title}",
                    Path(sys.executable),
                    f"{module}:edgeroberta",
                    {"bundle": str(bundle), "engine": engine},
                )
            )
    return entries


def f1(found: Sequence[Sequence[Entity]], wanted: Sequence[Sequence[Entity]]) -> float:
    """Return the share of right entities among those found and those wanted, as an F1."""
    hits = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(found, wanted, strict=True))
    total = sum(len(set(ours)) + len(set(theirs)) for ours, theirs in zip(found, wanted, strict=True))
    return 2 * hits / total if total else 0.0


def scored(
    rows: Sequence[Row], timings: Mapping[str, rounds.Timings], gold: Sequence[Sequence[Entity]]
) -> list[Row]:
    """Fill in how right the entities are, and on how many texts they are the baseline's."""
    answers = {
        name: [[(label, start, end) for label, start, end in each] for each in timing.answers]
        for name, timing in timings.items()
        if timing.error is None
    }
    full = answers.get(BASELINE)
    found = []
    for row in rows:
        ours = answers.get(row.name)
        if ours is not None:
            row = row.model_copy(update={"f1": round(f1(ours, gold), 4)})
            if full is not None:
                row = row.model_copy(update={"same_answers": rounds.share_equal(ours, full)})
        found.append(row)
    return found


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the bundles to what was promised."""
    by_name = {row.name: row for row in rows if row.status == "ok"}
    found: list[Check] = []

    def check(title: str, value: float, unit: str, direction: Any, bar: float) -> None:
        found.append(Check(title=title, value=round(value, 4), unit=unit, direction=direction, bar=bar))

    full, peer = by_name[BASELINE], by_name.get(PEER)
    check("entity F1 of the baseline", full.f1 or 0.0, "", "at least", 0.94)
    for row in by_name.values():
        recipe = row.name.partition("/")[0]
        lost = 100 * ((full.f1 or 0.0) - (row.f1 or 0.0))
        if recipe in MOST_LOST:
            check(f"{row.title}: F1 lost", lost, "points", "at most", MOST_LOST[recipe])
        if recipe in LEAST_KEPT:
            kept = (row.f1 or 0.0) / (full.f1 or 1.0)
            check(f"{row.title}: share of the baseline's F1", kept, "", "at least", LEAST_KEPT[recipe])
            faster = times(by_name[f"int8/{row.name.partition('/')[2]}"], row)
            check(f"{row.title}: p50 against `int8`", faster, "x", "at least", 2.5)
        if recipe != "int8":
            continue
        check(f"{row.title}: texts with the same entities", row.same_answers or 0.0, "", "at least", 0.985)
        check(f"{row.title}: p50 against transformers' pipeline", times(full, row), "x", "at least", 3.0)
        if peer is not None:
            check(f"{row.title}: p50 against Optimum's dynamic int8", times(peer, row), "x", "at least", 1.4)
            check(f"{row.title}: F1, no lower than Optimum's", row.f1 or 0.0, "", "at least", peer.f1 or 0.0)
    return tuple(found)


def times(slower: Row, faster: Row) -> float:
    """Return how many times faster one is: the median over rounds of p50 against p50."""
    if slower.latency is None or faster.latency is None:
        return 0.0
    pairs = zip(slower.latency.round_p50, faster.latency.round_p50, strict=True)
    return statistics.median(one / other for one, other in pairs)


def named(given: Sequence[str]) -> dict[str, Path]:
    """Read ``NAME=FOLDER`` arguments."""
    return {name: Path(folder).resolve() for name, _, folder in (each.partition("=") for each in given)}


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="fine-tuned Hugging Face folder")
    parser.add_argument("data", help="labelled texts, as for `edgeroberta compress --data`")
    parser.add_argument("--bundle", action="append", required=True, help="NAME=FOLDER of a bundle of it")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds over all texts")
    parser.add_argument("--limit", type=int, help="use this many texts only")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where environments are kept")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine, checkpoint = this_machine(arguments.machine), arguments.checkpoint.resolve()
    task = Checkpoint(checkpoint).task
    heldout = load_heldout(DataSpec(arguments.data, limit=arguments.limit), task)
    types = tag_table(task.labels).types
    gold = [
        [(types[number], start, end) for number, start, end in answer.entities]
        for answer in task.truth(heldout.labels)
    ]
    entries = contestants(checkpoint, named(arguments.bundle), arguments.cache)
    timings = rounds.measure(entries, heldout.texts, rounds=arguments.rounds, threads=1)
    rows = scored(rounds.rows(entries, timings, baseline=BASELINE), timings, gold)
    result = Result(
        benchmark="tokens",
        measured=now(),
        machine=machine,
        settings={
            "data": Path(arguments.data).name,
            "texts": len(heldout),
            "rounds": arguments.rounds,
            "batch": 1,
            "threads": 1,
            "data_digest": heldout.digest,
            "checkpoint_digest": digest_tree(checkpoint),
        },
        rows=tuple(rows),
        checks=checks(rows),
    )
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
