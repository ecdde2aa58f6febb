from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import teacher_outputs

#: Starts two workers, each with a session of its own as torch gives them, and waits for them.
LAUNCHER = """
import os, subprocess, sys
sleep = ["sleep", "60"]
workers = [
    subprocess.Popen(sleep, env={**os.environ, "RANK": str(rank)}, start_new_session=True) for rank in (0, 1)
]
print(*[worker.pid for worker in workers], flush=True)
for worker in workers:
    worker.wait()
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def test_the_workers_of_a_launch_are_killed_and_no_other_process():
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, "RANK": "0"})
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, text=True)
    try:
        workers = [int(number) for number in launcher.stdout.readline().split()]
        assert sorted(teacher_outputs.descendants(launcher.pid)) == sorted(workers)
        # A program that has just been started has no environment to read for a moment.
        end = time.monotonic() + 10
        while len(found := teacher_outputs.private_bytes(launcher.pid)) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert sorted(found) == [0, 1]
        assert min(found.values()) > 0
        teacher_outputs.kill(launcher)
        assert [alive(process) for process in workers] == [False, False]
        assert other.poll() is None
    finally:
        for process in (launcher, other):
            process.kill()
            process.wait()
        launcher.stdout.close()
