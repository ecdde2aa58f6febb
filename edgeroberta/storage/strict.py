"""JSON into dataclasses, strictly: types, sizes, unknown and missing fields, control characters.

For what other machines send and what files of ours should hold. Standard library only, since devices read
plans and references with it, too.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.storage import jsontext

#: C0 but tab and newline, C1, and what turns the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
_LONGEST = 100_000
_DEEPEST = 20

T = TypeVar("T")


def clean(text: str) -> str:
    """Return a text without terminal escapes and control characters."""
    return _CONTROL.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def loads(text: str | bytes, *, where: str) -> Any:
    """Read JSON; infinities, NaN and what nests too deep raise EdgeRobertaError, as does what is no JSON."""
    try:
        return jsontext.loads(text)
    except ValueError as error:
        raise _malformed(f"not JSON: {error}", where) from error


def decode(kind: type[T], value: Any, *, where: str) -> T:
    """Build a dataclass (of dataclasses, tuples, mappings, enums, paths) from JSON; texts are cleaned."""
    try:
        return build(kind, value)
    except (TypeError, ValueError) as error:
        raise _malformed(str(error), where) from error


def build(kind: type[T], value: Any) -> T:
    """Do as :func:`decode`, and raise what Python raises: TypeError or ValueError with the place."""
    found: T = _build(kind, value, "", 0)
    return found


def _malformed(what: str, where: str) -> EdgeRobertaError:
    return EdgeRobertaError(
        f"this is not what it should be ({clean(what)[:300]})", where=where, code="failed.malformed"
    )


def _build(kind: Any, value: Any, path: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"{path} nests too deep")
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    base = origin or kind
    if origin in (typing.Union, types.UnionType):
        return _either(arguments, value, path, depth)
    if origin is typing.Literal:
        return _one_of(arguments, value, path)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, path, depth)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(_one_of([each.value for each in kind], value, path))
    if base in (tuple, list, Sequence):
        return _several(arguments, value, path, depth, list if base is list else tuple)
    if base in (dict, Mapping):
        return _mapping(arguments[1] if arguments else Any, value, path, depth)
    if kind is Any or kind is object:
        nested: dict[type, Any] = {dict: dict[str, Any], list: list[Any]}
        kind = nested.get(type(value))
        return _build(kind, value, path, depth + 1) if kind else _plain(type(value), value, path)
    return Path(_plain(str, value, path)) if kind is Path else _plain(kind, value, path)


def _record(kind: Any, value: Any, path: str, depth: int) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{path or 'it'} is not an object")
    hints = typing.get_type_hints(kind)
    fields = {each.name: each for each in dataclasses.fields(kind)}
    if unknown := sorted(set(value) - set(fields)):
        raise ValueError(f"unknown field {path}.{unknown[0]}")
    for name, each in fields.items():
        optional = each.default is not dataclasses.MISSING or each.default_factory is not dataclasses.MISSING
        if name not in value and not optional:
            raise ValueError(f"the field {path}.{name} is missing")
    return kind(
        **{name: _build(hints[name], each, f"{path}.{name}", depth + 1) for name, each in value.items()}
    )


def _mapping(of: Any, value: Any, path: str, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{path} is not an object")
    return {
        _plain(str, key, path): _build(of, each, f"{path}.{key}", depth + 1) for key, each in value.items()
    }


def _several(arguments: Sequence[Any], value: Any, path: str, depth: int, kind: Any) -> Any:
    if not isinstance(value, list) or len(value) > _LONGEST:
        raise TypeError(f"{path} is not a list")
    each_kind: Sequence[Any] = [arguments[0] if arguments else Any] * len(value)
    if kind is tuple and len(arguments) > 1 and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise TypeError(f"{path} has {len(value)} members, not {len(arguments)}")
        each_kind = arguments
    pairs = enumerate(zip(each_kind, value, strict=True))
    return kind(_build(of, each, f"{path}[{index}]", depth + 1) for index, (of, each) in pairs)


def _either(kinds: Sequence[Any], value: Any, path: str, depth: int) -> Any:
    if value is None and type(None) in kinds:
        return None
    first: Exception | None = None
    for kind in kinds:
        if kind is not type(None):
            try:
                return _build(kind, value, path, depth)
            except (TypeError, ValueError) as error:
                first = first or error
    raise first or TypeError(f"{path} is not null")


def _one_of(known: Sequence[Any], value: Any, path: str) -> Any:
    for each in known:
        if each == value and type(each) is type(value):
            return each
    raise ValueError(f"{path} is {value!r:.50}")


def _plain(kind: Any, value: Any, path: str) -> Any:
    if kind is str and isinstance(value, str) and len(value) <= _LONGEST:
        return clean(value)
    if kind in (bool, int, type(None)) and type(value) is kind:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    raise TypeError(f"{path} is not {getattr(kind, '__name__', kind)}")
