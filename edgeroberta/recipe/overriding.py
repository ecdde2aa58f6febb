"""``--set stage.key=value``: settings of the command line that win over the recipe's file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import RecipeError, did_you_mean
from edgeroberta.storage import yamltext


@dataclass(frozen=True)
class Origin:
    """Which field an override set."""

    index: int  # position of its stage in the recipe
    path: tuple[str, ...]  # keys that lead to the field
    text: str  # the override as written


def apply(entries: list[tuple[str, dict[str, Any]]], override: str) -> Origin:
    """Apply ``stage.key=value`` to the raw stages in place; returns where it went, to blame errors on."""
    where = f"--set {override}"
    target, equals, value = override.partition("=")
    name, *path = target.strip().split(".")
    if not equals or not path or not all(path):
        raise RecipeError("an override is written stage.key=value", where=where)
    index = _position(entries, name, where)
    values = entries[index][1]
    for key in path[:-1]:
        inner = values.get(key)
        if inner is not None and not isinstance(inner, Mapping):
            raise RecipeError(f"{key} is a single value; it has no key {path[-1]!r}", where=where)
        values[key] = dict(inner or {})
        values = values[key]
    values[path[-1]] = yamltext.parse(value, where=where)
    return Origin(index, tuple(path), where)


def _position(entries: list[tuple[str, dict[str, Any]]], name: str, where: str) -> int:
    found = re.fullmatch(r"(.+)\[(\d{1,4})\]", name)
    wanted, nth = (found[1], int(found[2])) if found else (name, None)
    indices = [index for index, (stage, _) in enumerate(entries) if stage == wanted]
    present = list(dict.fromkeys(stage for stage, _ in entries))
    if not indices:
        near = did_you_mean(wanted, present)
        raise RecipeError(
            f"this recipe has no stage {wanted!r}", where=where, hint=near or f"stages: {', '.join(present)}"
        )
    if nth is None and len(indices) > 1:
        raise RecipeError(
            f"this recipe has {len(indices)} stages {wanted!r}", where=where, hint=f"write {wanted}[0]"
        )
    if (nth or 0) >= len(indices):
        raise RecipeError(f"this recipe has no stage {name!r}", where=where)
    return indices[nth or 0]
