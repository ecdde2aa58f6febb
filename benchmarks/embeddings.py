"""Embeddings of texts: bundles of a model beside sentence-transformers, with torch and with its own int8.

    python -m benchmarks.embeddings MODEL DATA --bundle int8=out/ [--bundle …] [--rounds 5]

``MODEL`` is a folder that sentence-transformers opens and the bundles were made of; ``DATA`` is what
``edgeroberta compress --data`` takes, pairs with scores: its held-out rows are embedded. Batch 1, one thread,
from the text to its embedding; every contestant lives in its own environment, and rounds interleave. Writes
benchmarks/results/<machine>/embeddings.json.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import rounds
from benchmarks.peers.environments import cache_folder, environment
from benchmarks.peers.forms import INSTRUCTIONS, made
from benchmarks.pipelines import bundle_entries, named, promise, times
from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta import metrics
from edgeroberta.data import DataSpec, Rows, load_heldout
from edgeroberta.errors import DataError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import digest_tree
from edgeroberta.tasks import Outputs, Task
from edgeroberta.tasks.similarity import cosines

logger = logging.getLogger(__name__)

BASELINE, PEER = "sentence-transformers", "onnx-qint8"
_MODULE = "benchmarks.peers.embedding_contestants"
Floats = npt.NDArray[np.float32]


def contestants(model: Path, bundles: Mapping[str, Path], cache: Path) -> list[rounds.Entry]:
    """Make the table of contestants, creating the environment and the peer's graph as needed."""
    peer = environment(BASELINE, cache=cache)
    graphs = made("sentence_transformers", model, peer, cache, [INSTRUCTIONS], "")
    entries = [
        rounds.Entry(
            BASELINE, "sentence-transformers, torch, fp32",
            peer, f"{_MODULE}:sentence_transformers", {"model": str(model)},
        ),
        rounds.Entry(
            PEER, "sentence-transformers, `onnx-qint8`",
            peer, f"{_MODULE}:onnx",
            {"model": str(graphs), "file_name": f"onnx/model_qint8_{INSTRUCTIONS}.onnx"},
        ),
    ]  # fmt: skip
    return [*entries, *bundle_entries(_MODULE, bundles)]


def judged(
    rows: Sequence[Row], timings: Mapping[str, rounds.Timings], heldout: Rows, task: Task
) -> list[Row]:
    """Fill in how well embeddings order the pairs, and how near they are to the baseline's."""
    answers = {
        name: np.array(timing.answers, np.float32) for name, timing in timings.items() if timing.error is None
    }
    full = answers.get(BASELINE)
    found = []
    for row in rows:
        ours = answers.get(row.name)
        if ours is not None:
            values = [("Spearman", round(spearman(ours, heldout, task), 4))]
            if full is not None:
                near = cosines(full, ours)
                values.append(("mean cosine", round(float(near.mean()), 4)))
                values.append(("least cosine", round(float(near.min()), 4)))
                same = metrics.agreement(task, outputs(full), outputs(ours))
                row = row.model_copy(update={"same_answers": round(same, 4)})
            row = row.model_copy(update={"values": tuple(values)})
        found.append(row)
    return found


def outputs(embeddings: Floats) -> Outputs:
    """Take embeddings float32 [2 n, H] for those of n pairs."""
    return Outputs(embeddings, np.arange(0, len(embeddings) + 1, 2))


def spearman(embeddings: Floats, heldout: Rows, task: Task) -> float:
    """Return Spearman's correlation of similarities with scores."""
    return metrics.score(task, outputs(embeddings), heldout.labels, metric="spearman")


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the bundles of the recipe ``int8`` to what was promised."""
    by_name = {row.name: row for row in rows if row.status == "ok"}
    full, peer = by_name[BASELINE], by_name.get(PEER)
    found: list[Check] = []
    for row in by_name.values():
        if row.name.partition("/")[0] != "int8":
            continue
        title, values = row.title, dict(row.values)
        lost = 100 * (dict(full.values)["Spearman"] - values["Spearman"])
        found += [
            promise(f"{title}: Spearman lost", lost, "at most", 0.3, "points"),
            promise(f"{title}: mean cosine to float", values["mean cosine"], "at least", 0.995),
            promise(
                f"{title}: p50 against sentence-transformers with torch",
                times(full, row),
                "at least",
                2.5,
                "x",
            ),
        ]
        if peer is not None:
            faster = times(peer, row)
            found.append(
                promise(f"{title}: p50 against its `onnx-qint8` backend", faster, "at least", 1.2, "x")
            )
    return tuple(found)


def main() -> None:
    """Read the command line, run the comparison, and write its result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder of sentence-transformers")
    parser.add_argument("data", help="pairs with scores, as for `edgeroberta compress --data`")
    parser.add_argument("--text", help="column of the first text")
    parser.add_argument("--text-pair", help="column of the second text")
    parser.add_argument("--label", help="column of the score")
    parser.add_argument("--bundle", action="append", required=True, help="NAME=FOLDER of a bundle of it")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds over all texts")
    parser.add_argument("--limit", type=int, help="use this many rows only")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where environments are kept")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    machine, model = this_machine(arguments.machine), arguments.model.resolve()
    columns = {"text": arguments.text, "text_pair": arguments.text_pair, "label": arguments.label}
    # All rows of the file are measured on: nothing is trained here.
    spec = DataSpec(arguments.data, eval_data=arguments.data, limit=arguments.limit, **columns)
    task = Checkpoint(model).task
    heldout = load_heldout(spec, task)
    if heldout.labels.dtype.kind != "f":
        raise DataError("these pairs have no scores", where=heldout.source, hint="--label COLUMN")
    entries = contestants(model, named(arguments.bundle), arguments.cache)
    timings = rounds.measure(entries, heldout.read(), rounds=arguments.rounds, threads=1)
    rows = judged(rounds.rows(entries, timings, baseline=BASELINE), timings, heldout, task)
    result = Result(
        benchmark="embeddings",
        measured=now(),
        machine=machine,
        settings={
            "data": Path(arguments.data).name,
            "pairs": len(heldout),
            "rounds": arguments.rounds,
            "batch": 1,
            "threads": 1,
            "data_digest": heldout.digest,
            "checkpoint_digest": digest_tree(model),
        },
        rows=tuple(rows),
        checks=checks(rows),
    )
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
