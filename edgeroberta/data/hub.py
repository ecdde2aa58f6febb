"""Data sets on the Hugging Face Hub, read as tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edgeroberta.data import features
from edgeroberta.data.readers import READERS, DataTable
from edgeroberta.errors import DataError, missing_extra

_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(:[\w.-]+)?")


def is_id(name: str) -> bool:
    """Tell whether ``name`` can only be a Hub data set: its form is right and no such path exists.

    ``reviews.csv``, and ``data/reviews`` where a folder ``data`` is, are paths that went missing.
    """
    if Path(name).suffix.lower() in READERS or not _ID.fullmatch(name):
        return False
    parent = Path(name).parent
    return parent == Path() or not parent.exists()


def load(name: str) -> dict[str, DataTable]:
    """Load ``owner/name`` or ``owner/name:configuration`` from the Hub, or from its local cache."""
    try:
        import datasets
    except ImportError as error:
        purpose = f"{name!r} is no file or folder here, and reading it from the Hub"
        raise missing_extra("datasets", "hub", purpose=purpose) from error
    repository, _, configuration = name.partition(":")
    try:
        loaded = datasets.load_dataset(repository, configuration or None)
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"no such file or folder, and not loaded from the Hub ({type(error).__name__}: {reason})",
            where=name,
            hint="check the path or the id; offline, give a file",
        ) from error
    return {split: _table(f"{name}[{split}]", rows) for split, rows in loaded.items()}


def _table(source: str, rows: Any) -> DataTable:
    columns = {column: list(rows[column]) for column in rows.column_names}
    return DataTable(source, columns, label_names=features.named(rows.features))
