"""Puts what is wrong with a config into words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgeroberta.errors import did_you_mean

Path = tuple[str | int, ...]

#: Characters of a value that are shown; a list of tiers has more.
_SHOWN = 100


@dataclass(frozen=True)
class ValidationProblem:
    """The first thing that is wrong with a config."""

    path: Path  # keys and indices that lead to the field
    what: str  # one sentence
    hint: str | None  # what to write instead, if that is known


def first_problem(
    error: ValidationError, config: type[BaseModel], given: Mapping[str, Any]
) -> ValidationProblem:
    """Put the first error of a validation into words; those of a union become one sentence."""
    errors = error.errors(include_url=False)
    former: Mapping[str, str] = getattr(config, "FORMER", {})  # of a stage's settings
    written = {new: old for old, new in former.items() if old in given and new not in given}
    for entry in errors:
        entry["loc"] = tuple(written.get(str(key), key) for key in entry["loc"][:1]) + entry["loc"][1:]
    paths = [_real_path(entry, given) for entry in errors]
    # Of a union, the member that came the furthest knows best where it stumbled.
    path = max((each for each in paths if each[: len(paths[0])] == paths[0]), key=len)
    if errors[0]["type"] == "extra_forbidden":
        name = str(path[-1])
        if len(path) == 1 and name in former:
            what = f"called {former[name]!r} now, which is given, too"
            return ValidationProblem(path, what, f"leave out {name!r}")
        known = fields_at(config, path[:-1])
        return ValidationProblem(
            path, "unknown field", did_you_mean(name, known) or f"known fields: {', '.join(known)}"
        )
    if errors[0]["type"] == "missing":
        return ValidationProblem(path, "this field is required", None)
    words = []
    for entry, where in zip(errors, paths, strict=True):
        if where == path and (text := _words(entry["msg"])) not in words:
            words.append(text)
    return ValidationProblem(
        path,
        f"{' or '.join(words)}, got {_written(_value_at(given, path))}",
        _table_hint(errors, paths, given),
    )


def _table_hint(
    errors: Sequence[ErrorDetails], paths: Sequence[Path], given: Mapping[str, Any]
) -> str | None:
    """Say how a table is written where none was given, or where YAML read ``{city:0.9}`` as a name."""
    for path in paths:
        key, colon, value = str(path[-1]).rpartition(":") if path else ("", "", "")
        if colon and _value_at(given, path) is None:
            return f"a space after the colon: {key}: {value}"
    if all(entry["type"] == "dict_type" for entry in errors):
        return "a table is written {NAME: VALUE, NAME: VALUE}"
    return None


def dotted(path: Sequence[str | int]) -> str:
    """Write a path as people do: ``stages[1].weights.hidden``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def fields_at(config: type[BaseModel], path: Path) -> list[str]:
    """Return the field names of the model that sits at ``path`` inside ``config``."""
    model: type[BaseModel] | None = config
    for key in path:
        field = model.model_fields.get(str(key)) if model is not None else None
        if field is None:
            return []
        model = model_in(field.annotation)
    return list(model.model_fields) if model is not None else []


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the config class inside ``X``, ``X | None`` or ``tuple[X, ...]``; None when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part))), None)


def _real_path(entry: ErrorDetails, given: Any) -> Path:
    """Drop the parts of a pydantic location that name members of a union, not keys of the input."""
    path: list[str | int] = []
    value, location = given, entry["loc"]
    for position, key in enumerate(location):
        listed = isinstance(value, (list, tuple)) and isinstance(key, int) and key < len(value)
        if listed or (isinstance(value, Mapping) and key in value):
            value = value[key]
            path.append(key)
        elif entry["type"] == "missing" and isinstance(value, Mapping) and position == len(location) - 1:
            path.append(key)  # a field that is missing
    return tuple(path)


def _value_at(given: Any, path: Path) -> Any:
    for key in path:
        given = given[key]
    return given


def _written(value: Any) -> str:
    whole = repr(value)
    return whole if len(whole) <= _SHOWN else f"{whole[:_SHOWN]}…"


def _words(message: str) -> str:
    """``Input should be greater than 0`` reads ``should be greater than 0``.

    What a config calls a tuple, a recipe's author has written as a list.
    """
    message = re.sub(r"^\w+ (should have .* items?) after validation", r"\1", message)
    message = message.replace("valid tuple", "valid list")
    for start in ("Input ", "Value error, "):
        message = message.removeprefix(start)
    return message[:1].lower() + message[1:]
