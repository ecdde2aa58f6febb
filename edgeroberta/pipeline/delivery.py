"""Put a finished bundle where the user wants it: all of it or nothing, and never over foreign files."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from edgeroberta import artifact
from edgeroberta.artifact import LINEAGE_FILE, Artifact
from edgeroberta.errors import UsageError

MANIFEST = "manifest.json"
BUNDLE_KIND = "edgeroberta-bundle"


def check(output: Path) -> None:
    """Refuse an output that is neither free nor a former bundle; called before hours of work.

    Raises:
        UsageError: It is a file, or a folder with other files in it.
    """
    hint = "choose another folder with -o, or move this one away"
    if output.exists() and not output.is_dir():
        raise UsageError("a file, where the bundle's folder should go", where=str(output), hint=hint)
    if output.is_dir() and any(output.iterdir()) and not _is_bundle(output):
        raise UsageError("not empty, and not a bundle; it is left untouched", where=str(output), hint=hint)


def deliver(bundle: Artifact, output: Path) -> None:
    """Copy a finished bundle to ``output``, replacing a former bundle.

    The copy is made beside ``output`` and renamed, so a reader sees the old bundle or the new one, and
    a kill at any point is repaired by the next run.

    Args:
        bundle: The finished artifact.
        output: Where the user wants it.

    Raises:
        UsageError: Something else is there by now.
    """
    output = output.resolve()
    check(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    _sweep(output)
    if _holds(output, bundle.path):
        return
    fresh = _beside(output, "new")
    shutil.copytree(bundle.path, fresh, ignore=shutil.ignore_patterns(LINEAGE_FILE))
    artifact.flush_tree(fresh)
    if output.is_dir():
        aside = _beside(output, "old")
        output.replace(aside)
        fresh.replace(output)
        shutil.rmtree(aside)
    else:
        fresh.replace(output)
    artifact.flush(output.parent)


def _is_bundle(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == BUNDLE_KIND


def _beside(output: Path, role: str) -> Path:
    return output.with_name(f".{output.name}.{role}-{os.getpid()}")


def _holds(output: Path, bundle: Path) -> bool:
    """Tell whether every file of the bundle is there unchanged; files of the user's beside them may stay."""
    files = [item.relative_to(bundle) for item in bundle.rglob("*") if item.is_file()]
    return all(
        (output / file).is_file()
        and artifact.digest_file(output / file) == artifact.digest_file(bundle / file)
        for file in files
        if file.name != LINEAGE_FILE
    )


def _sweep(output: Path) -> None:
    """Remove what a killed run has left beside ``output``."""
    starts = tuple(f".{output.name}.{role}-" for role in ("new", "old"))
    for leftover in list(output.parent.iterdir()):
        if leftover.name.startswith(starts):
            shutil.rmtree(leftover)
