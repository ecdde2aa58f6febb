"""YAML as recipes use it: no duplicate keys, ``1e-4`` is a number, errors carry their line."""

from __future__ import annotations

import re
from typing import Any

import yaml

from edgeroberta.errors import RecipeError


class _Loader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, where ``1e-4`` is text and a repeated key silently wins; neither here."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(
                None, None, f"a {key_node.id} cannot be a key", key_node.start_mark
            )
        key = key_node.value
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice", key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse(text: str, *, where: str) -> Any:
    """Parse one YAML document.

    Args:
        text: The document.
        where: How to name it in an error.

    Returns:
        Plain dicts, lists, strings, numbers, booleans and None.

    Raises:
        RecipeError: It is not YAML; ``where`` carries the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise RecipeError(f"not valid YAML: {error.problem}", where=f"{where}{line}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"not valid YAML: {error}", where=where) from error


def dump(value: Any) -> str:
    """Write plain values as YAML, in the order given, with a final newline."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))
