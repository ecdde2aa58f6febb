"""Where a bundle's model and data lie on this computer: kept in the user's cache, not in the bundle."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import write_json
from edgeroberta.storage.cache import cache_dir

SCHEMA_VERSION = 1
FULL_SIZE = "full_size"

logger = logging.getLogger(__name__)


def remember(manifest: Manifest, source: Mapping[str, Any], full_size: Path) -> None:
    """Keep where a bundle comes from; where there is no cache to write to, the user has to name it later."""
    try:
        file = _file(manifest)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {**source, FULL_SIZE: str(full_size), "schema_version": SCHEMA_VERSION})
    except (OSError, EdgeRobertaError) as error:
        logger.info("where the bundle comes from is not kept (%s)", error)


def recall(manifest: Manifest) -> Mapping[str, Any]:
    """Return what :func:`remember` kept; else what the manifest says, as up to version 0.3."""
    try:
        fields = jsontext.loads(_file(manifest).read_bytes())
        if isinstance(fields, dict) and fields.pop("schema_version") == SCHEMA_VERSION:
            return fields
    except (OSError, ValueError, KeyError, EdgeRobertaError):
        pass
    source: Any = manifest.lineage[0].get("config") if manifest.lineage else None
    told = source if isinstance(source, Mapping) else {}
    return {**told, FULL_SIZE: str(manifest.full_size.get("model", ""))}


def _file(manifest: Manifest) -> Path:
    return cache_dir() / "origins" / f"{manifest.seal}.json"
