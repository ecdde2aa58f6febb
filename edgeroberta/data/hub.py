"""Data sets on the Hugging Face Hub, read as tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
    datasets = _package(name)
    repository, _, configuration = name.partition(":")
    try:
        loaded = datasets.load_dataset(repository, configuration or None)
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        raise _not_loaded(name, error) from error
    return {split: _table(f"{name}[{split}]", rows) for split, rows in loaded.items()}


def _package(name: str) -> Any:
    """Import the package datasets."""
    try:
        import datasets
    except ImportError as error:
        purpose = f"{name!r} is no file or folder here, and reading it from the Hub"
        raise missing_extra("datasets", "hub", purpose=purpose) from error
    return datasets


def _not_loaded(name: str, error: Exception) -> DataError:
    reason = str(error).strip().split("\n")[0]
    return DataError(
        f"no such file or folder, and not loaded from the Hub ({type(error).__name__}: {reason})",
        where=name,
        hint="check the path or the id; offline, give a file",
    )


def _table(source: str, rows: Any) -> DataTable:
    columns = {column: list(rows[column]) for column in rows.column_names}
    return DataTable(source, columns, label_names=features.named(rows.features))


def stream(name: str, *, rows: int) -> Iterator[DataTable]:
    """Read the training rows of a data set on the Hub part by part, without loading it whole.

    ``name``: ``owner/name`` or ``owner/name:configuration``. ``rows``: rows of a table, at most. Raises
    DataError: it cannot be loaded, or is empty; UnavailableError: the package datasets is missing.
    """
    datasets = _package(name)
    repository, _, configuration = name.partition(":")
    first = 0
    try:
        splits = datasets.load_dataset(repository, configuration or None, streaming=True)
        split = "train" if "train" in splits else next(iter(splits))
        for part in splits[split].iter(batch_size=rows):
            columns = {column: list(cells) for column, cells in part.items()}
            table = DataTable(f"{name}[{split}]", columns, first=first)
            first += len(table)
            yield table
    except (OSError, ValueError, RuntimeError, LookupError) as error:
        raise _not_loaded(name, error) from error
    if not first:
        raise DataError("no rows", where=name)
