"""Runs a command and watches how long it takes and how much memory its processes hold together."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two looks; a process that lives shorter is missed.
INTERVAL = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Watched:
    """A finished command: exit code, wall seconds, peak resident MB (10^6 bytes), end of its output."""

    code: int
    seconds: float
    peak_mb: float
    tail: str


def run(
    command: Sequence[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Watched:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        cwd: Where to run it.
        environment: Variables on top of the current ones.

    Returns:
        What it took. Memory is the sum over the command's process group; pages that processes share
        count once per process, so the sum is an upper bound.
    """
    peak, started = 0, time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(environment or {})}, text=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        while process.poll() is None:
            peak = max(peak, resident_bytes(process.pid))
            time.sleep(INTERVAL)
        seconds = time.monotonic() - started
        output.seek(0)
        tail = "\n".join(output.read().strip().splitlines()[-15:])
    return Watched(process.returncode, round(seconds, 2), round(peak / 1e6, 1), tail)


def resident_bytes(group: int) -> int:
    """Return the resident memory of all processes of a process group, in bytes."""
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # Fields after the command's closing parenthesis: state, parent, group, …
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[2]) == group:
                total += int((folder / "statm").read_text(encoding="utf-8").split()[1]) * PAGE
        except (OSError, IndexError, ValueError):
            continue  # it ended while we looked
    return total
