"""Where things that are costly to make once are kept between runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage import paths
from edgeroberta.storage.artifact import flush_tree

VARIABLE = "EDGEROBERTA_CACHE"


def cache_dir() -> Path:
    """Return ``$EDGEROBERTA_CACHE``, ``$XDG_CACHE_HOME/edgeroberta`` or ``~/.cache/edgeroberta``."""
    try:
        if own := os.environ.get(VARIABLE):
            return paths.named(own)
        shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG base directory specification: a relative path is invalid and must be ignored.
        return (shared if shared.is_absolute() else Path.home() / ".cache") / "edgeroberta"
    except RuntimeError as error:  # as in a container: no HOME, and a user id without an account
        raise EdgeRobertaError(
            "there is no home folder to keep a cache in",
            hint=f"set {VARIABLE} to a folder with room that you may write to",
        ) from error


def folder(destination: Path, write: Callable[[Path], None]) -> Path:
    """Return a cached folder, writing it first if it is not there.

    It is written under a temporary name, flushed and renamed, so it is whole or absent. Of several processes
    at it at once the first to finish wins; the others drop what they wrote. ``destination``: the folder's
    final path; its name must tell the content. ``write``: fills the empty folder it is given. Returns
    ``destination``.
    """
    if destination.is_dir():
        return destination
    with writing(destination.parent):
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
        try:
            temporary.chmod(0o755)
            write(temporary)
            flush_tree(temporary)
            try:
                temporary.rename(destination)
            except OSError:
                if not destination.is_dir():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return destination


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Put into words what hinders writing to the cache."""
    try:
        yield
    except OSError as error:
        raise EdgeRobertaError(
            f"cannot write to the cache ({error.strerror or error})",
            where=str(place),
            hint=f"set {VARIABLE} to a folder with room that you may write to",
        ) from error
