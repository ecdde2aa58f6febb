"""One process of ``benchmarks.teacher_outputs``: reads, tokenizes, asks the teacher, reads the outputs.

It prints nothing; the main process writes ``seconds.json`` into the folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import islice
from pathlib import Path

from edgeroberta import distributed
from edgeroberta.data import DataSpec, streams
from edgeroberta.progress import PlainProgress, Progress
from edgeroberta.roberta import loading
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import write_json
from edgeroberta.training import batching, teacher, token_files
from edgeroberta.training.batching import Encoder

#: Batches read back, as training reads them: enough to touch every shard.
READ_BATCHES = 400


def main() -> None:
    """Do one process's part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("texts")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    process = distributed.current()
    process.wait()  # opens the group with this project's patience
    progress = PlainProgress(sys.stderr) if process.main else Progress()
    folder: Path = arguments.folder
    model = loading.load_classifier(arguments.teacher, Checkpoint(arguments.teacher).task)
    clock = [time.monotonic()]

    texts = streams.load(DataSpec("-", unlabelled=arguments.texts), pair=False, without=())
    encoder = Encoder.open(arguments.teacher, max_length=128)
    tokens = token_files.tokenize(encoder, [texts], folder=folder / "tokens", progress=progress)
    clock.append(time.monotonic())
    outputs = teacher.compute(
        model,
        tokens,
        folder=folder / "teacher",
        wanted=teacher.WantedOutputs(layers=tuple(arguments.layers)),
        key="benchmark",
        progress=progress,
    )
    clock.append(time.monotonic())
    for rows in islice(batching.shuffled(tokens.lengths, batch_size=32, seed=0, epoch=0), READ_BATCHES):
        outputs.batch(rows)
    clock.append(time.monotonic())
    if process.main:
        names = ("tokenize", "teacher", "read")
        took = {name: end - start for name, start, end in zip(names, clock, clock[1:], strict=False)}
        write_json(folder / "seconds.json", {**took, "tokens": int(tokens.offsets[-1])})
    process.wait()


if __name__ == "__main__":
    main()
