"""Kills a run at every point where it changes the disk, resumes it, and prints what came of it as JSON.

``python kill_driver.py FOLDER [former]``: with ``former``, all stages are finished, and the bundle of
another run lies in the output. A script of its own, because it forks, and because an audit hook cannot
be taken away again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import fake_stages

from edgeroberta import pipeline
from edgeroberta.progress import Progress
from edgeroberta.recipe import Recipe
from edgeroberta.storage.artifact import digest_tree

#: Audit events of calls that change the disk; the hook is called before each of them.
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def recipe(folder: Path, value: int = 0) -> Recipe:
    return fake_stages.recipe(folder / "runs.log", build={"value": value})


def run(folder: Path, value: int = 0) -> None:
    pipeline.run(recipe(folder, value), fake_stages.job(folder), progress=Progress())


def forked(folder: Path, kill_at: int | None = None) -> int:
    """Run in a child that is killed at its ``kill_at``-th change; return its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    status = 1
    try:
        if kill_at is not None:
            kill_at_change(kill_at, str(folder))
        run(folder)
        status = 0
    finally:
        os._exit(status)


def kill_at_change(number: int, root: str) -> None:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITES or not str(path).startswith(root):
                return
        elif event not in CHANGES:
            return
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def prepare(folder: Path, former: bool) -> str | None:
    """Make the folder of one try; with ``former``, return the digest of the bundle that lies there."""
    folder.mkdir()
    job = fake_stages.job(folder)
    if not former:
        return None
    run(folder, value=7)
    pipeline.make(recipe(folder).stages, job, progress=Progress(), recipe_text=recipe(folder).text)
    (folder / "runs.log").unlink()
    return digest_tree(folder / "out")


def main() -> None:
    root, former = Path(sys.argv[1]), "former" in sys.argv[2:]
    # A killed process loses nothing that it has handed to the kernel: flushing matters when the power
    # fails, and here it would only take its time.
    os.fsync = lambda handle: None
    clean = root / "clean"
    prepare(clean, former)
    run(clean)
    wanted = digest_tree(clean / "out")
    tries = []
    for number in range(1, 10_000):
        folder = root / str(number)
        old = prepare(folder, former)
        status = forked(folder, number)
        work, output = folder / "out.work", folder / "out"
        finished = sorted(path.name.split("-")[1] for path in work.glob("[0-9]*"))
        before = fake_stages.started(folder / "runs.log")
        seen = digest_tree(output) if output.exists() else None
        resumed = forked(folder)
        tries.append(
            {
                "killed": os.WIFSIGNALED(status),
                "finished": finished,
                "output": {wanted: "new", old: "old", None: "none"}.get(seen, "torn"),
                "resumed": os.waitstatus_to_exitcode(resumed),
                "after": fake_stages.started(folder / "runs.log")[len(before) :],
                "same": digest_tree(output) == wanted if output.exists() else False,
                "litter": [p.name for p in (*work.glob(".*"), *folder.glob(".*"))],
            }
        )
        shutil.rmtree(folder)
        if not os.WIFSIGNALED(status):
            break
    print(json.dumps(tries))


if __name__ == "__main__":
    main()
