"""Put a finished bundle where the user wants it: all of it or nothing, and never over foreign files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeroberta import artifact
from edgeroberta.artifact import LINEAGE_FILE, Artifact
from edgeroberta.errors import UsageError
from edgeroberta.runtime.manifest import KIND, MANIFEST_FILE

#: What ``edgeroberta bench`` and a budget put beside a bundle's own files: it is about no other bundle.
_MEASURED = (
    "reports/bench.json",
    "reports/bench.md",
    "reports/budget.json",
    "reports/front.json",
    "reports/front.svg",
)


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

    The copy is made beside ``output`` and renamed, so a reader never sees half a bundle. A former bundle
    is renamed out of the way first: between these two renames there is nothing at ``output``, and a run
    that is killed right there is repaired by the next one. Files that the user has put into a former
    bundle, which its manifest does not list, go along into the new one.

    Args:
        bundle: The finished artifact.
        output: Where the user wants it.

    Raises:
        UsageError: Something else is there by now.
    """
    output = output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    _restore(output)
    check(output)
    _sweep(output)
    if _holds(output, bundle.path):
        return
    fresh = _beside(output, "new")
    shutil.copytree(bundle.path, fresh, ignore=shutil.ignore_patterns(LINEAGE_FILE))
    if output.is_dir():
        _carry_over(output, fresh)
    artifact.flush_tree(fresh)
    if output.is_dir():
        aside = _beside(output, "old")
        output.replace(aside)
        fresh.replace(output)
        shutil.rmtree(aside)
    else:
        fresh.replace(output)
    artifact.flush(output.parent)


def _manifest(folder: Path) -> Mapping[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("kind") == KIND else None


def _is_bundle(folder: Path) -> bool:
    return _manifest(folder) is not None


def _carry_over(former: Path, fresh: Path) -> None:
    """Copy what the user has put into a former bundle into the one that replaces it."""
    listed = {*((_manifest(former) or {}).get("files") or ()), *_MEASURED}
    for item in sorted(former.rglob("*")):
        name = item.relative_to(former)
        if (item.is_dir() and not item.is_symlink()) or name.as_posix() in listed:
            continue
        if not (fresh / name).exists():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(item, fresh / name, follow_symlinks=False)


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


def _restore(output: Path) -> None:
    """Put back a former bundle that a run moved aside before it was killed."""
    if output.exists():
        return
    for aside in sorted(output.parent.iterdir()):
        if aside.name.startswith(f".{output.name}.old-") and _is_bundle(aside):
            aside.replace(output)
            return


def _sweep(output: Path) -> None:
    """Remove what a killed run has left beside ``output``."""
    starts = tuple(f".{output.name}.{role}-" for role in ("new", "old"))
    for leftover in list(output.parent.iterdir()):
        if leftover.name.startswith(starts):
            shutil.rmtree(leftover)
