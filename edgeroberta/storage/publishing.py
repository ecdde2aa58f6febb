"""What a bundle may tell of the computer it was made on: names of files and models, not where they lie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from edgeroberta.storage.files import CONFIG, SPECIAL_TOKENS, TOKENIZER_CONFIG

#: Files that other libraries write into a model folder, and with them where it lay.
FOREIGN = (CONFIG, TOKENIZER_CONFIG, SPECIAL_TOKENS)


def name_of(value: str) -> str:
    """Return the name of a file or folder without its folders; an id on the Hub as it is."""
    path = Path(value)
    try:
        local = path.is_absolute() or value.startswith(("~", "./", "../")) or path.exists()
    except (OSError, ValueError):  # no path: too long, or with a null
        return value
    return PurePath(value).name if local and PurePath(value).name else value


def without_folders(value: Any) -> Any:
    """Return JSON in which every text that is a path is the name at its end."""
    if isinstance(value, Mapping):
        return {name: without_folders(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_folders(item) for item in value]
    return name_of(value) if isinstance(value, str) else value


def strip(folder: Path) -> None:
    """Take the paths out of the files that transformers wrote; a file without any stays as it is."""
    from edgeroberta.storage.artifact import write_json

    for name in FOREIGN:
        kept = stripped(folder / name)
        if kept is not None:
            write_json(folder / name, kept)


def stripped(file: Path) -> dict[str, Any] | None:
    """Return the fields of a JSON file that are no paths; None where all of them may stay."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # whether it is needed and readable is for others to say
    if not isinstance(fields, dict):
        return None
    kept = {key: value for key, value in fields.items() if not _absolute(value)}
    return None if kept == fields else kept


def _absolute(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 1 and PurePath(value).is_absolute()
