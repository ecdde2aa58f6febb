"""Paths as users write them."""

from __future__ import annotations

from pathlib import Path

from edgeroberta.errors import UsageError


def named(name: str | Path) -> Path:
    """Return the path that a user named, ``~`` filled in, of which the system can say whether it exists."""
    try:
        path = Path(name).expanduser()
        path.exists()
    except OSError as error:
        raise UsageError(f"no path that can be looked at ({error.strerror})", where=str(name)) from error
    except RuntimeError as error:  # what expanduser raises
        raise UsageError(f"no path that is known ({error})", where=str(name)) from error
    return path
