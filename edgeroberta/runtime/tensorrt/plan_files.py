"""One engine on disk: ``engine.plan`` and, beside it, ``engine.json`` with its key and sha256."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.runtime.tensorrt.builder import SerializedEngine
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import flush, flush_tree, write_json

SCHEMA_VERSION = 1
PLAN, FACTS = "engine.plan", "engine.json"

Key = Mapping[str, Any]


@dataclass(frozen=True)
class CacheLookup:
    """What was found under a key: a plan, or the reason why it must be built, or neither."""

    plan: bytes | None = None
    seconds: float = 0.0
    reason: str | None = None


def read(folder: Path, key: Key) -> CacheLookup:
    """Read the plan that was kept under a key, or why it is of no use; neither where there is none."""
    try:
        facts = jsontext.loads((folder / FACTS).read_bytes(), finite=False)
        former, size, sha256 = dict(facts["key"]), int(facts["bytes"]), str(facts["sha256"])
        seconds, version = float(facts["seconds"]), facts["schema_version"]
    except (FileNotFoundError, NotADirectoryError):
        return CacheLookup(reason="its facts are missing" if (folder / PLAN).exists() else None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return CacheLookup(reason=f"its facts cannot be read ({error})")
    if version != SCHEMA_VERSION:
        return CacheLookup(reason=f"schema {version}, not {SCHEMA_VERSION}")
    if changed := difference(former, key):
        return CacheLookup(reason=changed)
    try:
        plan = (folder / PLAN).read_bytes()
    except OSError as error:
        return CacheLookup(reason=f"it cannot be read ({error.strerror or error})")
    if len(plan) != size:
        return CacheLookup(reason=f"it has {len(plan)} bytes instead of {size}")
    if hashlib.sha256(plan).hexdigest() != sha256:
        return CacheLookup(reason="its sha256 is not what it was")
    return CacheLookup(plan, seconds)


def difference(former: Key, wanted: Key) -> str | None:
    """Say which fields of two keys differ, as ``version was 10.3.0, now 10.16.1``; None when none does."""
    missing = object()
    found = []
    for name in sorted({*former, *wanted}):
        old, new = former.get(name, missing), wanted.get(name, missing)
        # As JSON, since the one that was read back has lists where the other has tuples.
        if old is missing or new is missing or json.dumps(old) != json.dumps(new):
            found.append(f"{name} was {_short(old, missing)}, now {_short(new, missing)}")
    return "; ".join(found) or None


def _short(value: object, missing: object) -> str:
    text = "unknown" if value is missing else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def write(folder: Path, key: Key, source: Path, built: SerializedEngine) -> None:
    """Keep an engine in place of a damaged one, all or nothing; the caller holds the lock of its key."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):  # of a builder that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (temporary / PLAN).write_bytes(built.plan)
        facts = {
            "schema_version": SCHEMA_VERSION,
            "key": dict(key),
            "source": str(source),
            "bytes": len(built.plan),
            "sha256": hashlib.sha256(built.plan).hexdigest(),
            "seconds": round(built.seconds, 3),
        }
        write_json(temporary / FACTS, facts)
        flush_tree(temporary)
        remove(folder)  # a damaged one
        temporary.rename(folder)
        flush(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder, in one step as others see it."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    with contextlib.suppress(OSError):
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
