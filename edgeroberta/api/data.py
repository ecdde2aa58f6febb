"""What counts as data: a path, the name of a data set on the Hub, or rows in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from edgeroberta.errors import DataError, UsageError, shown

if TYPE_CHECKING:
    from edgeroberta.data.rows import DataSpec

#: A file, a folder or a Hub data set by name, or rows: mappings of column to value, or a pandas frame.
Data: TypeAlias = "str | os.PathLike[str] | Iterable[Mapping[str, Any]]"


def spec(data: Data | None, *, seed: int = 0, limit: int | None = None, **columns: Any) -> DataSpec | None:
    """Say where the rows are and which columns hold what; None when no data is named.

    ``columns``: the other fields of :class:`~edgeroberta.data.rows.DataSpec`, None where nothing is said.

    Raises:
        DataError: A value is out of range, or a row in memory cannot be kept.
        UsageError: A column is named and no data.
    """
    from edgeroberta.data.rows import DataSpec

    given = {name: value for name, value in columns.items() if value is not None}
    if data is not None:
        for name in {"eval_data", "unlabelled"} & given.keys():
            given[name] = named(given[name])
        return DataSpec(named(data), **given, seed=seed, limit=limit)
    if given:
        option = "--" + next(iter(given)).replace("_", "-")
        raise UsageError(f"{option} is given but no --data", where=option, hint="add --data FILE")
    return None


def named(data: Data) -> str:
    """Return the name of data; rows in memory are kept in the cache folder, named by their content.

    So a killed run finds the rows again, and a bundle that was made of them can be measured again.
    """
    if isinstance(data, str | os.PathLike):
        return os.fspath(data)
    from edgeroberta.storage import artifact, cache

    # A pandas frame gives its columns' names when it is iterated.
    frame: Any = data if hasattr(data, "iterrows") else None
    rows = data if frame is None else frame.to_dict("records")
    rows = _named_tags(rows, getattr(data, "features", None))
    text = "".join(_line(row, number) for number, row in enumerate(rows, 1))
    file = cache.cache_dir() / "rows" / f"rows-{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
    if not file.is_file():
        with cache.writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            artifact.write_text(file, text)
    return str(file)


def _named_tags(rows: Iterable[Any], features: Any) -> Iterable[Any]:
    """Write the tags of words by the names that the features of a Hub data set have for their ids."""
    from edgeroberta.data import features as class_names
    from edgeroberta.data import word_tables

    names = class_names.named(features)
    if not names or not any(words in features for words in word_tables.WORDS):
        return rows
    return ({**row, **_by_name(row, names)} for row in rows)


def _by_name(row: Mapping[str, Any], names: Mapping[str, tuple[str, ...]]) -> dict[str, list[Any]]:
    found = {}
    for column, known in names.items():
        cell = row.get(column)
        if isinstance(cell, list) and all(type(each) is int and 0 <= each < len(known) for each in cell):
            found[column] = [known[each] for each in cell]
    return found


def _line(row: object, number: int) -> str:
    if not isinstance(row, Mapping):
        raise DataError(
            f"a row is a mapping of column to value, not {shown(row)}",
            where=f"data, row {number}",
            hint="[{'text': 'great film', 'label': 'positive'}, …]",
        )
    try:
        line = json.dumps(dict(row), ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
        line.encode()  # refuses half a surrogate pair
        return line
    except (TypeError, ValueError) as error:
        raise DataError(f"cannot be kept as JSON: {error}", where=f"data, row {number}") from error


def _plain(value: Any) -> Any:
    """Return what numpy's scalars and arrays hold."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is no text, number or list")


def several(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return names as a tuple; a text alone is one name."""
    return (names,) if isinstance(names, str) else tuple(names)
