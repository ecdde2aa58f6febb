"""Room on the disk, asked for before hours of work rather than after them."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError


def require(folder: Path, needed: int, *, what: str, otherwise: str = "") -> None:
    """Refuse to begin what the disk has no room for. ``folder``: where it would be written; it exists."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        hint = "free some space, or name a work folder on another disk: --work FOLDER"
        raise EdgeRobertaError(
            f"{what} need {amount(needed)}, and {amount(free)} are free here",
            where=str(folder),
            hint=f"{hint}; {otherwise}" if otherwise else hint,
        )


def amount(size: int) -> str:
    """Return bytes as people say them, in MB or GB (10^6 and 10^9 bytes)."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
