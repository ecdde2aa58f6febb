"""Memory, speed and resumption of teacher outputs for many unlabelled texts, on two processes.

    python -m benchmarks.teacher_outputs CHECKPOINT [--source FILE] [--texts 100000] [--layers 5]

The texts are made of the sentences of a file (the packaged reviews when none is given): the beginning of
one and the end of another, seeded. A quarter, half and all of them are worked through from nothing,
under ``accelerate launch`` with two processes on the CPU. Then all of them again, killed with SIGKILL
when half of the shards are there, and resumed. Writes benchmarks/results/<machine>/teacher-outputs.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Check, Result, Row, now, this_machine, write
from edgeroberta import demo
from edgeroberta.data import DataSpec, streams
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage.artifact import digest_tree
from edgeroberta.storage.cache import cache_dir

logger = logging.getLogger(__name__)

PROCESSES = 2
#: Seconds between two looks at the processes.
INTERVAL = 0.1
#: What a process may hold more of at all texts than at a quarter of them: allocators waver by as much.
GROWTH = 1.05
WORKER = "benchmarks.teacher_worker"


@dataclass(frozen=True)
class Done:
    """A launch that ended: peak private bytes by rank, and the seconds that its main process noted."""

    peaks: dict[int, int]
    seconds: dict[str, float]


def compose(source: str, count: int, file: Path) -> None:
    """Write ``count`` texts, one a line, made of those of ``source``; the same each time."""
    spec = DataSpec("-", unlabelled=source)
    stream = streams.load(spec, pair=False, without=())
    words = [text.split() for part in stream.chunks() for text in part.texts]
    draw = random.Random(0)
    with file.open("w", encoding="utf-8") as lines:
        for _ in range(count):
            first, second = draw.choice(words), draw.choice(words)
            cut = draw.randint(0, len(first)), draw.randint(0, len(second) - 1)
            lines.write(" ".join([*first[: cut[0]], *second[cut[1] :]]) + "\n")


def launch(teacher: Path, texts: Path, folder: Path, layers: Sequence[int], *, until: int = 0) -> Done | None:
    """Run the workers and watch them.

    Args:
        teacher: The model folder.
        texts: The texts.
        folder: Where tokens and outputs go.
        layers: Layers whose hidden states are kept.
        until: Kill them with SIGKILL when there are so many shards, or 0.

    Returns:
        What they took; None when they were killed.

    Raises:
        EdgeRobertaError: They failed.
    """
    folder.mkdir(exist_ok=True)
    # --multi_gpu makes accelerate start the processes through torch, which works on a CPU, too; with
    # --cpu it would need MPI for more than one (seen in accelerate 1.15).
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={PROCESSES}",
        "--num_machines=1", "--num_cpu_threads_per_process=1", "--mixed_precision=no", "--dynamo_backend=no",
        "--main_process_ip=127.0.0.1", "--main_process_port=0",
        "-m", WORKER, str(teacher), str(texts), str(folder), "--layers", *map(str, layers),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "CUDA_VISIBLE_DEVICES": "",
    }
    peaks: dict[int, int] = {}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                for rank, size in private_bytes(process.pid).items():
                    peaks[rank] = max(peaks.get(rank, 0), size)
                if until and len(list(folder.glob("teacher/shard-*"))) >= until:
                    return None
                time.sleep(INTERVAL)
        finally:
            if process.poll() is None:
                kill(process)
    if process.returncode:
        tail = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise EdgeRobertaError(f"the workers ended with exit code {process.returncode}:\n{tail}")
    return Done(peaks, json.loads((folder / "seconds.json").read_text(encoding="utf-8")))


def descendants(launcher: int) -> list[int]:
    """Return the processes that the launcher has started, and those that they have, in turn."""
    parents = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                # the name before it, in parentheses, may hold anything
                fields = (process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            except OSError:
                continue  # it ended while we looked
            parents[int(process.name)] = int(fields.split()[1])
    found = [launcher]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


def private_bytes(launcher: int) -> dict[int, int]:
    """Return, by rank, the bytes that each worker holds for itself alone.

    Those are anonymous pages, in memory or swapped out. Pages of mapped files are not counted: the
    kernel shares them and takes them back when memory is short.
    """
    found = {}
    for number in descendants(launcher):
        process = Path("/proc") / str(number)
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            lines = (process / "status").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue  # it ended while we looked
        named = dict(line.split(":", 1) for line in lines)
        sizes = (int(named[name].split()[0]) for name in ("RssAnon", "VmSwap") if name in named)
        size = sum(sizes) * 1024
        for rank in (int(item[5:]) for item in variables if item.startswith(b"RANK=")):
            found[rank] = max(found.get(rank, 0), size)  # a worker's own children have its rank, too
    return found


def kill(launcher: subprocess.Popen[bytes]) -> None:
    """Kill the launcher and all that it has started, and nothing else, with SIGKILL.

    The launcher is stopped first, so that it neither starts workers anew nor ends before they are
    found. File descriptors stand for the processes: a number may belong to another one by then.
    """
    launcher.send_signal(signal.SIGSTOP)
    handles = {}
    for number in descendants(launcher.pid):
        with contextlib.suppress(ProcessLookupError):  # it ended while we looked
            handles[number] = os.pidfd_open(number)
    ours = set(descendants(launcher.pid))  # of these, the numbers were still theirs when they were opened
    for number, handle in handles.items():
        if number in ours:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    launcher.kill()
    launcher.wait()
    for number, handle in handles.items():
        if number in ours:
            select.select([handle], [], [])  # until it has ended
        os.close(handle)


def measure(arguments: argparse.Namespace, folder: Path) -> tuple[list[Row], list[Check]]:
    """Run all sizes, then the kill; return the rows and the checks."""
    source = arguments.source or demo.prepare(cache_dir()).data.data
    counts = [arguments.texts // 4, arguments.texts // 2, arguments.texts]
    rows, peaks, wanted, shards = [], [], "", 0
    for count in counts:
        texts, work = folder / f"{count}.txt", folder / str(count)
        compose(source, count, texts)
        done = launch(arguments.teacher.resolve(), texts, work, arguments.layers)
        if done is None:
            raise EdgeRobertaError("the workers were killed, and not by this program")
        peaks.append(done.peaks)
        logger.info("%d texts: %s", count, done)
        rows.append(_row(count, done))
        wanted, shards = digest_tree(work / "teacher"), len(list(work.glob("teacher/shard-*")))
        shutil.rmtree(work)
    texts, work = folder / f"{counts[-1]}.txt", folder / "killed"
    if launch(arguments.teacher.resolve(), texts, work, arguments.layers, until=shards // 2) is not None:
        raise EdgeRobertaError("the workers were done before they could be killed", hint="take more --texts")
    kept = {path: path.stat().st_ino for path in work.glob("teacher/shard-*")}
    resumed = launch(arguments.teacher.resolve(), texts, work, arguments.layers)
    same = resumed is not None and digest_tree(work / "teacher") == wanted
    untouched = sum(path.stat().st_ino == inode for path, inode in kept.items())
    rows.append(
        Row(
            name="killed",
            title="killed and resumed",
            values=(("shards", shards), ("shards there when killed", len(kept)), ("of them kept", untouched)),
        )
    )
    title = f"teacher outputs, {counts[-1]:,} texts, {PROCESSES} processes"
    growth = max(peaks[-1][rank] / peaks[0][rank] for rank in peaks[0])
    checks = [
        Check(
            title=f"{title}: peak private memory, of that with a quarter of the texts",
            value=round(growth, 3), unit="", direction="at most", bar=GROWTH,
        ),
        Check(
            title=f"{title}: outputs after kill -9 and resumption that are the same bytes",
            value=100.0 if same else 0.0, unit="%", direction="at least", bar=100,
        ),
        Check(
            title=f"{title}: finished shards kept after kill -9",
            value=100 * untouched / len(kept), unit="%", direction="at least", bar=100,
        ),
    ]  # fmt: skip
    return rows, checks


def _row(count: int, done: Done) -> Row:
    memory = [
        (f"process {rank}: peak private MB", round(size / 1e6, 1))
        for rank, size in sorted(done.peaks.items())
    ]
    seconds = done.seconds
    speed = (
        ("texts/s, teacher", round(count / seconds["teacher"], 1)),
        ("texts/s, read and tokenize", round(count / seconds["tokenize"], 1)),
        ("tokens per text", round(seconds["tokens"] / count, 1)),
    )
    return Row(name=str(count), title=f"{count:,} texts", values=(*memory, *speed))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("teacher", type=Path, help="fine-tuned model folder")
    parser.add_argument("--source", help="file of texts to make the texts of")
    parser.add_argument("--texts", type=int, default=100_000, help="how many")
    parser.add_argument(
        "--layers", type=int, nargs="*", default=[], help="layers whose hidden states are kept"
    )
    parser.add_argument(
        "--folder", type=Path, help="where tokens and outputs go (a temporary folder otherwise)"
    )
    parser.add_argument("--name", default="", help="what the teacher is called in the result")
    parser.add_argument("--machine", help="name of the results folder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    machine = this_machine(arguments.machine)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows, checks = measure(arguments, Path(folder))
    result = Result(
        benchmark="teacher-outputs",
        measured=now(),
        machine=machine,
        settings={
            "teacher": arguments.name or arguments.teacher.name,
            "processes": PROCESSES,
            "threads": 1,
            "hidden_layers": len(arguments.layers),
        },
        rows=tuple(rows),
        checks=tuple(checks),
    )
    logger.info("%s", write(result))


if __name__ == "__main__":
    main()
