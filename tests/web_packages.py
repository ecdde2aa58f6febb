"""The packages of ``examples/web``, installed once in the peers' cache.

See ``interchange/test_optimum.py``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "web"
#: What npm says where there is no way to its registry.
_UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|network")


def installed() -> Path:
    """Return the folder ``node_modules``; the test skips without npm, or where it reaches no registry."""
    for name in ("node", "npm"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    from benchmarks.peers.environments import cache_folder

    lock = EXAMPLE / "package-lock.json"
    folder = cache_folder() / f"javascript-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (folder / "complete").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for file in (EXAMPLE / "package.json", lock):
            shutil.copy(file, folder / file.name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode and _UNREACHABLE.search(done.stderr):
            pytest.skip(f"npm does not reach its registry: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr[-2000:]
        (folder / "complete").touch()
    return folder / "node_modules"
