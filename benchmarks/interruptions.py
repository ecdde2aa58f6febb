"""Kills runs at random times and fills disks up; then the same command must lose nothing and end the same.

    python -m benchmarks.interruptions --model CHECKPOINT --data rows.csv --work DIR [--kills 25] [--sizes 5]

Every run is ``edgeroberta compress`` in a process group of its own, killed with SIGKILL. In the output lies a
former bundle with a file of the user's, beside it folders of the user's whose names look like ours. The small
disks are file systems in memory, which only root can mount. Prints what came of it as JSON; exits with 1 when
anything was lost, differed, or was called unexpected.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edgeroberta.errors import BundleError
from edgeroberta.runtime import manifest

logger = logging.getLogger(__name__)

RECIPE = """schema_version: 1
name: interrupted
description: Every kind of stage, as quick as it can be.
stages:
  - finetune: {epochs: 2}
  - export: {}
  - quantize: {}
  - build: {}
  - verify: {latency_rows: 5, gate: {max_drop: 1.0, min_agreement: 0.0}}
  - bundle: {}
"""
MINE = ("out/notes.txt", ".out.old-1/thesis.txt", ".out.new-1/thesis.txt", "work/.git/HEAD")


@dataclass(frozen=True)
class Try:
    """One interruption and the run after it.

    Attributes:
        how: ``kill`` or ``disk``.
        at: Seconds after which it was killed, or megabytes of the disk.
        interrupted: False when the run was through before.
        said: Last line of what a run on a full disk said.
        lost: What was missing or torn, right after or at the end.
        same: Whether the bundle's digest and model are those of a run that nothing interrupted.
    """

    how: str
    at: float
    interrupted: bool
    said: str
    lost: tuple[str, ...]
    same: bool

    @property
    def good(self) -> bool:
        """True when nothing was lost, nothing differs and nothing was called unexpected."""
        return self.same and not self.lost and "unexpected" not in self.said


class Bench:
    """Runs of one command in folders below ``work``."""

    def __init__(self, model: Path, data: Path, work: Path) -> None:
        self.work = work
        self.words = [sys.executable, "-m", "edgeroberta", "compress", str(model), "--data", str(data)]
        self.recipe = work / "recipe.yaml"
        self.recipe.write_text(RECIPE, encoding="utf-8")
        started = time.monotonic()
        self.clean = work / "clean"
        self.clean.mkdir()
        done = self.start(self.clean).communicate()[1]
        self.seconds = time.monotonic() - started
        self.wanted = self.state(self.clean)
        if self.wanted is None:
            raise SystemExit(f"the run that nothing interrupts failed: {done}")
        self.former = work / "former"
        self.former.mkdir()
        self.start(self.former, "--seed", "7").communicate()

    def start(self, folder: Path, *more: str) -> subprocess.Popen[str]:
        places = ["-r", str(self.recipe), "-o", str(folder / "out"), "--work", str(folder / "work")]
        return subprocess.Popen(
            [*self.words, *places, *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def state(self, folder: Path) -> tuple[str, bytes] | None:
        """Return digest and model of a whole bundle, None where there is none."""
        try:
            found = manifest.read(folder / "out")
            manifest.check_files(found)
        except BundleError:
            return None
        return found.digest, (folder / "out" / "model.onnx").read_bytes()

    def prepare(self, folder: Path) -> None:
        """Lay out what must not be lost."""
        folder.mkdir(exist_ok=True)
        shutil.copytree(self.former / "out", folder / "out")
        (folder / "work").mkdir()
        shutil.copy(self.former / "work" / "work.json", folder / "work" / "work.json")
        for name in MINE:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("years of work", encoding="utf-8")

    def lost(self, folder: Path, *, ended: bool) -> tuple[str, ...]:
        """Say what is missing or torn; a run that was killed may have the former bundle aside."""
        aside = [path for each in folder.glob(".out.delivery-*") for path in each.glob("old-*")]
        found = [name for name in MINE[1:] if not (folder / name).is_file()]
        places = [folder / "out", *aside]
        if not any((place / "notes.txt").is_file() for place in places):
            found.append(MINE[0])
        if self.state(folder) is None and not (aside and not (folder / "out").exists()):
            found.append("a whole bundle")
        if ended:
            litter = [*folder.glob(".out.delivery-*"), *(folder / "work").glob(".partial-*")]
            found += [f"left there: {path.name}" for path in litter]
        return tuple(found)

    def finish(self, folder: Path) -> tuple[tuple[str, ...], bool]:
        """Run the command to its end and compare."""
        process = self.start(folder)
        said = process.communicate()[1]
        failed = () if process.returncode == 0 else (f"exit {process.returncode}: {said.strip()[-300:]}",)
        return (*failed, *self.lost(folder, ended=True)), self.state(folder) == self.wanted

    def kills(self, count: int, rng: random.Random) -> list[Try]:
        """Kill runs again and again until one is through, then begin a new one, ``count`` kills in all."""
        found: list[Try] = []
        folder = self.work / "killed"
        while len(found) < count:
            if not folder.exists():
                self.prepare(folder)
            after = rng.uniform(0.05, 1.0) * self.seconds
            process = self.start(folder)
            try:
                process.communicate(timeout=after)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
            killed = process.returncode == -signal.SIGKILL
            lost = self.lost(folder, ended=not killed)
            if not killed or rng.random() < 0.3:  # else the next kill meets what this one has left
                more, same = self.finish(folder)
                lost = (*lost, *more)
                shutil.rmtree(folder)
            else:
                same = True
            if killed:
                found.append(Try("kill", round(after, 1), killed, "", lost, same))
                logger.info("%d: %s", len(found), found[-1])
            elif lost or not same:
                raise SystemExit(f"lost: {lost}, same: {same}")
        if folder.exists():
            more, same = self.finish(folder)
            found[-1] = Try("kill", found[-1].at, True, "", (*found[-1].lost, *more), same)
        return found

    def disks(self, count: int) -> list[Try]:
        """Run on disks of several sizes, all too small, and then on the same disk made large enough."""
        used, there = megabytes(self.clean), megabytes(self.former / "out")
        found = []
        for number in range(count):
            size = there + used * (0.05 + 0.95 * number / count)
            folder = self.work / f"disk-{number}"
            folder.mkdir()
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={round(1000 * size)}k", "tmpfs", folder], check=True
            )
            try:
                self.prepare(folder)
                process = self.start(folder)
                said = process.communicate()[1].strip().splitlines()
                told = next((line for line in said if line.startswith("error:")), "")
                lost = self.lost(folder, ended=False)
                subprocess.run(["mount", "-o", "remount,size=1g", folder], check=True)
                more, same = self.finish(folder)
                full = process.returncode != 0
                found.append(Try("disk", round(size, 3), full, told, (*lost, *more), same))
                logger.info("%d: %s", number + 1, found[-1])
            finally:
                subprocess.run(["umount", folder], check=True)
        return found


def megabytes(folder: Path) -> float:
    """Return what a folder takes on a disk."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if not file.is_symlink()) / 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="a folder that does not exist yet")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--sizes", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    chosen.work.mkdir(parents=True)
    bench = Bench(chosen.model.resolve(), chosen.data.resolve(), chosen.work.resolve())
    logger.info("a run that nothing interrupts takes %.1f s", bench.seconds)
    tries = [*bench.disks(chosen.sizes), *bench.kills(chosen.kills, random.Random(chosen.seed))]
    print(json.dumps([{**asdict(each), "good": each.good} for each in tries], indent=2))
    sys.exit(not all(each.good for each in tries))


if __name__ == "__main__":
    main()
