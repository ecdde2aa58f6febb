"""Kills the teacher's work at every point where it changes the disk, resumes it, and prints what came of it.

``python teacher_kill_driver.py FOLDER CHECKPOINT STEP``, where STEP 1 kills at every change, 2 at every
second one; a script of its own for the reasons of ``kill_driver``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import kill_driver
import torch

from edgeroberta.data import DataSpec, streams
from edgeroberta.progress import Progress
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.storage.artifact import digest_tree
from edgeroberta.tasks import Problem, Task
from edgeroberta.training import batching, shards, teacher, token_files
from edgeroberta.training.batching import Encoder
from edgeroberta.training.hyperparameters import MatmulPrecision
from edgeroberta.training.teacher import WantedOutputs

ROWS = 22
shards.SHARD = 5
token_files.CHUNK = batching.CHUNK = 4


def forked(folder: Path, encoder: Encoder, model: torch.nn.Module, kill_at: int | None = None) -> int:
    """Tokenize and ask the teacher in a child, killed at its ``kill_at``-th change; return its status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    status = 1
    try:
        if kill_at is not None:
            kill_driver.kill_at_change(kill_at, str(folder))
        texts = streams.load(DataSpec("-", unlabelled=str(folder.parent / "x.txt")), pair=False, without=())
        tokens = token_files.tokenize(encoder, [texts], folder=folder / "tokens", progress=Progress())
        teacher.compute(
            model,  # type: ignore[arg-type]
            tokens,
            folder=folder / "teacher",
            wanted=WantedOutputs(layers=(1,), attention=True, precision=MatmulPrecision.FP32),
            key="teacher",
            progress=Progress(),
        )
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    root, source = Path(sys.argv[1]), Path(sys.argv[2])
    os.fsync = lambda handle: None  # as in kill_driver
    torch.set_num_threads(1)  # a child of fork has none of its parent's threads
    (root / "x.txt").write_text("".join(f"text {'very ' * (i % 4)}{i}\n" for i in range(ROWS)))
    model = load_classifier(source, Task(Problem.SINGLE_LABEL, ("negative", "positive")))
    encoder = Encoder.open(source, max_length=32)
    clean = root / "clean"
    clean.mkdir()
    forked(clean, encoder, model)
    wanted = digest_tree(clean)
    tries = []
    for number in range(1, 1000, int(sys.argv[3])):
        folder = root / str(number)
        folder.mkdir()
        killed = os.WIFSIGNALED(forked(folder, encoder, model, number))
        found = sorted(path.name for path in folder.glob("teacher/shard-*"))
        kept = {name: (folder / "teacher" / name).stat().st_ino for name in found}
        resumed = os.waitstatus_to_exitcode(forked(folder, encoder, model))
        again = [name for name, inode in kept.items() if (folder / "teacher" / name).stat().st_ino != inode]
        same = digest_tree(folder) == wanted
        tries.append(
            {"killed": killed, "found": len(found), "again": again, "resumed": resumed, "same": same}
        )
        shutil.rmtree(folder)
        if not killed:
            break
    print(json.dumps(tries))


if __name__ == "__main__":
    main()
