"""Arguments of the public functions as the pipeline takes them."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from edgeroberta.api.data import several
from edgeroberta.errors import UsageError

_P = ParamSpec("_P")
_R = TypeVar("_R")


def with_arguments_of(
    like: Callable[_P, Any],
) -> Callable[[Callable[[Mapping[str, Any]], _R]], Callable[_P, _R]]:
    """Let a function of named arguments be called as ``like`` is."""
    signature = inspect.signature(like)

    def decorate(function: Callable[[Mapping[str, Any]], _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return function(bound.arguments)

        call.__signature__ = signature  # type: ignore[attr-defined]
        return call

    return decorate


def overrides(settings: Mapping[str, Any] | str | Sequence[str]) -> tuple[str, ...]:
    """Write settings as ``--set`` takes them; JSON is YAML."""
    if isinstance(settings, Mapping):
        settings = [f"{name}={json.dumps(value, default=str)}" for name, value in settings.items()]
    return several(settings)


def seed(value: int) -> int:
    """Return a seed; UsageError: it is none that all generators of random numbers take."""
    if not 0 <= value < 1 << 63:
        raise UsageError(
            f"a seed is a whole number from 0 to 2^63 - 1, not {value}",
            where="--seed",
            hint="leave it out, or give another one",
        )
    return value


def path(value: str | os.PathLike[str] | None) -> Path | None:
    """Return a path that was named, None where none was."""
    return None if value is None else Path(value)


def paths(value: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> tuple[Path, ...]:
    """Return the paths that were named, one or several."""
    return tuple(map(Path, [value] if isinstance(value, str | os.PathLike) else value))
