"""What each stage can be told: its settings with types, defaults and descriptions, for people."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from edgeroberta import stages
from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.recipe.validation import model_in


class SettingDescription(NamedTuple):
    """One setting of a stage."""

    key: str  # its path below the stage, as ``--set`` takes it, e.g. ``weights.hidden``.
    kind: str  # type, or choices
    default: str  # the default as JSON
    description: str  # one sentence


def of_stage(name: str) -> tuple[SettingDescription, ...]:
    """Return the settings of a stage, nested ones with a dotted key."""
    if name not in stages.MODULES:
        raise UsageError(
            f"no stage is called {name!r}",
            hint=did_you_mean(name, stages.MODULES) or f"stages: {', '.join(stages.MODULES)}",
        )
    return tuple(_settings(stages.get(name).config, ""))


def _settings(config: type[BaseModel], prefix: str) -> Iterator[SettingDescription]:
    for name, field in config.model_fields.items():
        inner = model_in(field.annotation)
        if inner is not None:
            yield from _settings(inner, f"{prefix}{name}.")
            continue
        default = field.get_default(call_default_factory=True)
        if isinstance(default, enum.Enum):
            default = default.value
        shown = "required" if field.is_required() else json.dumps(default, default=str)
        yield SettingDescription(f"{prefix}{name}", _kind(field.annotation), shown, field.description or "")


def _kind(annotation: Any) -> str:
    """Put a type into words: ``int``, ``list of int``, ``cosine | linear``, ``int | none``."""
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " | ".join(str(member.value) for member in annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(argument) for argument in arguments)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is dict:
        return f"table of {_kind(arguments[1])}"
    if origin in (tuple, list) or str(origin).endswith("Sequence'>"):
        return f"list of {_kind(arguments[0])}"
    if arguments:
        return " | ".join(_kind(argument) for argument in arguments)
    return getattr(annotation, "__name__", str(annotation))
