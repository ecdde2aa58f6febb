"""Remembers which of a bundle's engines is best on this device, in the user's cache.

``edgeroberta build`` and ``bench`` measure it; whoever opens the bundle without naming an engine gets it.
The file is named after the bundle and the facts of the device and holds both in full, so a preference of
another bundle, machine or engine version is never taken for this one's.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.runtime import processor
from edgeroberta.runtime.session import ENGINES
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import digest_value, write_json
from edgeroberta.storage.cache import cache_dir

SCHEMA_VERSION = 1
FOLDER = "preferences"

logger = logging.getLogger(__name__)


def device_facts(root: Path = Path("/")) -> dict[str, str]:
    """Return what the order of engines may depend on, name to value; nothing is imported for it."""
    from importlib import metadata  # 10 ms, for those only who have a preference

    facts = {
        "machine": f"{platform.node()} {platform.machine()}",
        "board": processor.text(root / "proc/device-tree/model").rstrip("\0\n"),
        "l4t": processor.text(root / "etc/nv_tegra_release").partition("\n")[0],
        "gpus": ", ".join(processor.gpus(root)),
    }
    packages = {name for engine in ENGINES.values() for name in (engine.package, *engine.packages)}
    for package in sorted(packages):
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return facts


def preferred(bundle: str, root: Path = Path("/")) -> str | None:
    """Return the engine that was found best for a bundle on this device; None when nothing is known."""
    try:
        if not (cache_dir() / FOLDER).is_dir():  # as nearly everywhere: then no facts need be gathered
            return None
        key = _key(bundle, root)
        fields = jsontext.loads(_file(key).read_bytes(), finite=False)
        if fields["schema_version"] == SCHEMA_VERSION and fields["key"] == key:
            return str(fields["engine"])
    except (EdgeRobertaError, OSError, ValueError, KeyError, TypeError):
        return None
    return None


def remember(
    bundle: str, engine: str, *, why: str, figures: Mapping[str, Any], root: Path = Path("/")
) -> bool:
    """Note which engine is best for a bundle here; False where that could not be written, after a warning."""
    key = _key(bundle, root)
    try:
        file = _file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        fields = {"key": key, "engine": engine, "why": why, "figures": dict(figures)}
        write_json(file, {"schema_version": SCHEMA_VERSION, **fields})
    except (EdgeRobertaError, OSError) as error:
        logger.warning("cannot remember that %s is the engine of choice here (%s)", engine, error)
        return False
    return True


def _key(bundle: str, root: Path) -> dict[str, Any]:
    return {"bundle": bundle, "device": device_facts(root)}


def _file(key: Mapping[str, Any]) -> Path:
    return cache_dir() / FOLDER / f"{digest_value(key)}.json"
