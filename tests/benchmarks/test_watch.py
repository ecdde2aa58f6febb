from __future__ import annotations

import sys

from benchmarks.watch import run

HOLD_100_MB = "import time; block = bytearray(100_000_000); time.sleep(0.3)"


def test_memory_of_all_processes_of_the_command_is_counted():
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD_100_MB!r}])"
    watched = run([sys.executable, "-c", parent])
    assert watched.code == 0
    assert 100 < watched.peak_mb < 200
    assert 0.3 <= watched.seconds < 30


def test_the_end_of_the_output_and_the_exit_code_are_kept():
    watched = run([sys.executable, "-c", "import sys; print('last words'); sys.exit(3)"])
    assert (watched.code, watched.tail) == (3, "last words")
