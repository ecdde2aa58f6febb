"""YAML as recipes use it: plain values alone, no duplicate keys, ``1e-4`` is a number, errors have a line."""

from __future__ import annotations

import re
from typing import Any

import yaml

from edgeroberta.errors import RecipeError

#: Characters of a document, and values it may stand for; the longest shipped recipe has 1,200 and 60.
_LONGEST, _MOST = 200_000, 20_000


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but ``1e-4`` is a number, and no key is there twice.

    Of its types only texts, numbers, booleans, null, lists and mappings are known here: dates stay texts,
    and ``!!set`` or ``!!binary`` are refused. Keys are texts as they are written.
    """


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    try:
        return int(loader.construct_yaml_int(node))
    except ValueError as error:  # 0x_, or more digits than Python converts
        raise yaml.constructor.ConstructorError(None, None, "not a number", node.start_mark) from error


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    seen: set[str] = set()
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
    return {str(key.value): loader.construct_object(value, deep=True) for key, value in node.value}


_TAG = "tag:yaml.org,2002:"
_Loader.yaml_constructors = {
    **{
        _TAG + kind: yaml.SafeLoader.yaml_constructors[_TAG + kind]
        for kind in ("null", "bool", "float", "str", "seq")
    },
    _TAG + "int": _whole,
    _TAG + "map": _mapping,
    None: yaml.SafeLoader.yaml_constructors[None],
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != _TAG + "timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _TAG + "float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse(text: str, *, where: str) -> Any:
    """Parse a YAML document into plain values; ``where`` of a RecipeError carries the line."""
    if len(text) > _LONGEST:
        raise RecipeError(f"{len(text):,} characters, where {_LONGEST:,} are read at most", where=where)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _size(node, {}) > _MOST:
                raise RecipeError(f"stands for more than {_MOST:,} values", where=where)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise RecipeError(f"not valid YAML: {error.problem}", where=f"{where}{line}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"not valid YAML: {error}", where=where) from error
    except RecursionError as error:
        raise RecipeError("not valid YAML: nested too deep", where=where) from error


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Count what a node stands for, each alias as often as it is used; one inside itself is endless."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if node not in known:
        known[node] = _MOST + 1  # while it is counted: a node that is met again lies in itself
        inner = (
            [part for pair in node.value for part in pair]
            if isinstance(node, yaml.MappingNode)
            else node.value
        )
        known[node] = 1 + sum(_size(each, known) for each in inner)
    return known[node]


def dump(value: Any) -> str:
    """Write plain values as YAML, in the order given, with a final newline."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100))
