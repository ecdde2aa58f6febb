"""Reads the kernel's small text files: unknown is None, and nothing here raises for what a file holds."""

from __future__ import annotations

import contextlib
import fnmatch
import math
import os
import re
from pathlib import Path

#: More than any file of sysfs or procfs that is read here; a page is what sysfs gives at most.
MOST_BYTES = 1 << 18
#: Beyond 64 bits there is no kernel counter, and ``int`` of a long text takes quadratic time.
MOST_DIGITS = 20

_DIGITS = re.compile(r"\d+")


def text(path: Path | str) -> str | None:
    """Return what a file holds, stripped; None when missing or empty. A pipe does not block it."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return None
    try:
        return os.read(handle, MOST_BYTES).decode("utf-8", errors="replace").strip("\0 \t\r\n") or None
    except OSError:  # a sensor that is powered down answers EAGAIN or EIO
        return None
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)


def integer(path: Path | str) -> int | None:
    """Return the whole number that a file holds, None when it holds anything else."""
    return whole(text(path))


def whole(word: str | None, base: int = 10) -> int | None:
    """Return a word as a whole number; None for anything else, and beyond what kernel counters reach."""
    if word is None or len(word) > MOST_DIGITS:
        return None
    try:
        return int(word, base)
    except ValueError:
        return None


def decimal(word: str | None) -> float | None:
    """Return a word as a finite number, None for anything else."""
    try:
        number = float(word) if word is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def denied(path: Path | str) -> bool:
    """True when the file is there and this user may not read it."""
    try:
        os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False


def children(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the entries of a folder, ``cpu2`` before ``cpu10``; none when it cannot be listed."""
    try:
        names = [path.name for path in folder.iterdir()]
    except (OSError, ValueError):
        return []
    return [folder / name for name in sorted(fnmatch.filter(names, pattern), key=_natural)]


def field(content: str | None, *names: str) -> str | None:
    """Return the first value of ``name: value`` lines that has one of the names."""
    for line in (content or "").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() in names and value.strip():
            return value.strip()
    return None


def _natural(name: str) -> tuple[tuple[int, ...], str]:
    return tuple(int(digits[:MOST_DIGITS]) for digits in _DIGITS.findall(name)), name
