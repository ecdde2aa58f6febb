"""Class names in the features of a Hugging Face data set, of single labels and of lists of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeroberta.storage import jsontext

#: Features lie this deep in each other at most: a list of class labels is one deep.
_DEPTH = 4


def class_names(kind: Any, depth: int = 0) -> tuple[str, ...] | None:
    """Find the class names of a feature.

    ``kind``: a feature of the ``datasets`` library (``ClassLabel``, ``Sequence``, ``List`` …, or a list with
    one), or what the library writes of it to a Parquet or Arrow schema as JSON. Returns the names, in the
    order of the ids; None where it has none.
    """
    if depth > _DEPTH or kind is None or isinstance(kind, str):
        return None
    if isinstance(kind, list | tuple):
        return class_names(kind[0], depth + 1) if len(kind) == 1 else None
    fields = kind if isinstance(kind, Mapping) else _attributes(kind)
    names = fields.get("names")
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return class_names(fields.get("feature"), depth + 1)


def stored(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Find the class names, by column, that the ``datasets`` library writes into a schema."""
    try:
        features = jsontext.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return named(features)


def named(features: Any) -> dict[str, tuple[str, ...]]:
    """Return the columns that have class names, with their names."""
    if not isinstance(features, Mapping):
        return {}
    found = {column: class_names(kind) for column, kind in features.items()}
    return {column: names for column, names in found.items() if names is not None}


def _attributes(kind: Any) -> dict[str, Any]:
    return {name: getattr(kind, name, None) for name in ("names", "feature")}
