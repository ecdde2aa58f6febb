"""Which processes live, read from /proc: ``ps`` is not on every machine."""

from __future__ import annotations

import contextlib
from pathlib import Path


def processes_with(words: str) -> list[str]:
    """Return the command lines that hold some words; one that has ended and is not yet buried has none."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    assert found
    return [line for line in found if words in line]
