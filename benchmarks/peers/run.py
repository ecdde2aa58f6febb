"""Compare bundles with what a user would run instead: one checkpoint, one file of texts, one run.

    python -m benchmarks.peers.run CHECKPOINT DATA --bundle int8=out/ [--bundle tiny=…] --calibration TRAIN

Batch 1, one thread, tokenization included. Each contestant lives in its own environment; rounds
interleave. Writes benchmarks/results/<machine>/<name>.json, ``peers`` by default.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import rounds
from benchmarks.peers.environments import cache_folder
from benchmarks.peers.promises import checks
from benchmarks.peers.tools import PIPELINE, TOOLS, Checkpoint
from benchmarks.pipelines import bundle_entries, named
from benchmarks.results import Result, now, this_machine, write
from benchmarks.texts import read
from edgeroberta.storage.artifact import digest_tree

logger = logging.getLogger(__name__)

#: Training texts that Optimum's static int8 is calibrated on; NNCF's own default.
CALIBRATION_TEXTS = 300


def contestants(
    checkpoint: Checkpoint, bundles: Mapping[str, Path], skipped: Sequence[str] = ()
) -> list[rounds.Entry]:
    """Make the table of contestants, creating environments and the tools' forms as needed.

    ``skipped``: names of tools that do not take part.
    """
    tools = [tool.entry(checkpoint) for tool in TOOLS if tool.name not in skipped]
    return [*tools, *bundle_entries("benchmarks.peers.contestants", bundles)]


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="fine-tuned Hugging Face folder")
    parser.add_argument("data", type=Path, help="labelled texts, e.g. the dev.tsv of SST-2")
    parser.add_argument("--bundle", action="append", required=True, help="NAME=FOLDER of a bundle of it")
    parser.add_argument(
        "--calibration", type=Path, required=True, help="training texts, for Optimum's static int8"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds over all texts")
    parser.add_argument("--limit", type=int, help="use the first N texts only")
    parser.add_argument("--max-length", type=int, default=128, help="tokens the tools keep")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where environments are kept")
    parser.add_argument("--skip", action="append", default=[], choices=[tool.name for tool in TOOLS])
    parser.add_argument("--called", help="what the tables call the data; else the name of its file")
    parser.add_argument("--name", default="peers", help="of the results file")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine, folder = this_machine(arguments.machine), arguments.checkpoint.resolve()
    texts = read(arguments.data, folder, arguments.limit)
    calibration = read(arguments.calibration, folder, CALIBRATION_TEXTS).texts
    checkpoint = Checkpoint(folder, arguments.cache, arguments.max_length, calibration)
    entries = contestants(checkpoint, named(arguments.bundle), arguments.skip)
    timings = rounds.measure(entries, texts.texts, rounds=arguments.rounds, threads=arguments.threads)
    labels = None if texts.labels is None else [int(label) for label in texts.labels]
    table = rounds.rows(entries, timings, baseline=PIPELINE, full_size=PIPELINE, labels=labels)
    settings = {
        "data": arguments.called or arguments.data.name, "texts": len(texts), "rounds": arguments.rounds,
        "batch": 1, "threads": arguments.threads, "max_length": arguments.max_length,
        "data_digest": texts.digest, "checkpoint_digest": digest_tree(folder),
    }  # fmt: skip
    result = Result(
        benchmark=arguments.name, measured=now(), machine=machine, settings=settings, rows=tuple(table),
        checks=checks(table),
    )  # fmt: skip
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
