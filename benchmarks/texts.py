"""Reads labelled texts with the project's own reader, so that every benchmark sees the same rows."""

from __future__ import annotations

import json
from pathlib import Path

from edgeroberta.data import DataSpec, Rows, load_heldout
from edgeroberta.tasks import Task


def read(data: Path, model: Path, limit: int | None = None) -> Rows:
    """Read all rows of a file.

    Args:
        data: Labelled texts: CSV, TSV, JSONL or Parquet.
        model: A checkpoint or bundle; its config.json names the labels.
        limit: Take a random sample of at most this many rows, the same each time.

    Returns:
        The rows.
    """
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    # As evaluation data, because a training file would have only its held-out part returned.
    spec = DataSpec(str(data), eval_data=str(data), limit=limit)
    return load_heldout(spec, Task.from_config(config))
