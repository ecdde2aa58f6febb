"""What a bundle knows of where it comes from: its data, its full-size reference and its gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from edgeroberta import demo
from edgeroberta.cache import cache_dir
from edgeroberta.data import DataSpec, Rows, load_heldout
from edgeroberta.errors import BundleError, DataError, UsageError
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.verification import reference
from edgeroberta.verification.reference import Reference
from edgeroberta.verification.report import Gate

REPORT_FILE = "reports/report.json"
REFERENCE_FOLDER = "reports/reference"


def stored_gate(bundle: Path) -> Gate:
    """Return the gate that the bundle was judged by when it was made.

    Args:
        bundle: Bundle folder.

    Raises:
        BundleError: The bundle carries no report, or a damaged one.
    """
    file = bundle / REPORT_FILE
    try:
        gate = json.loads(file.read_text(encoding="utf-8"))["gate"]
        return Gate(**{each.name: float(gate[each.name]) for each in fields(Gate)})
    except OSError as error:
        raise BundleError(
            "the bundle carries no report, so there is no gate to hold it to",
            where=str(file),
            hint="make it with a recipe that has a verify stage, such as int8",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"damaged: not a report ({error})", where=str(file), hint="copy the bundle again"
        ) from error


def stored_reference(bundle: Path) -> Reference | None:
    """Return the full-size reference the bundle carries, or None when it carries none.

    Args:
        bundle: Bundle folder.

    Raises:
        UsageError: It is there and damaged.
    """
    folder = bundle / REFERENCE_FOLDER
    return reference.load(folder) if (folder / reference.JSON_FILE).is_file() else None


def stored_spec(manifest: Manifest) -> DataSpec | None:
    """Return where the bundle's data was when it was made, or None when that was not recorded.

    Args:
        manifest: The bundle's manifest; the first step of its lineage names the data.

    Raises:
        UnavailableError: It was made of the packaged default, and that is not installed.
    """
    source: Any = manifest.lineage[0].get("config", {}) if manifest.lineage else {}
    if source.get("model") == "packaged":
        return demo.prepare(cache_dir()).data
    recorded = source.get("data")
    if not isinstance(recorded, Mapping):
        return None
    known = {each.name for each in fields(DataSpec)}
    return DataSpec(**{name: value for name, value in recorded.items() if name in known})


def heldout_rows(manifest: Manifest, spec: DataSpec | None) -> Rows:
    """Load the rows to measure a bundle on.

    Args:
        manifest: The bundle's manifest.
        spec: What the user named; None for the data that the bundle was made with.

    Returns:
        Labelled rows.

    Raises:
        DataError: The data cannot be used.
        UsageError: None was named, and the bundle's own is not here.
    """
    if spec is not None:
        return load_heldout(spec, manifest.task)
    stored = stored_spec(manifest)
    hint = "name it: --data FILE (with --text and --label where the columns need naming)"
    if stored is None:
        raise UsageError("the bundle does not say which data it was made with", hint=hint)
    try:
        return load_heldout(stored, manifest.task)
    except DataError as error:
        raise UsageError(
            f"the data that the bundle was made with cannot be read here ({error.what})",
            where=error.where,
            hint=hint,
        ) from error
