"""Every Python block of the documents compiles and calls what there is with arguments that it takes."""

from __future__ import annotations

import ast
import importlib
import inspect
from typing import Any

import doc_pages
import pytest
from doc_pages import PAGES

BLOCKS = [
    pytest.param(block, id=f"{doc_pages.named(page)}-{number}")
    for page in PAGES
    for number, block in enumerate(doc_pages.blocks(doc_pages.text(page), "python"))
]


def _imported(tree: ast.Module) -> dict[str, Any]:
    """Return what the block imports of this package, by its name there."""
    names: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgeroberta"):
            module = importlib.import_module(str(node.module))
            for each in node.names:
                found = getattr(module, each.name, None)
                names[each.asname or each.name] = found or importlib.import_module(
                    f"{node.module}.{each.name}"
                )
        elif isinstance(node, ast.Import):
            for each in node.names:
                if each.name.startswith("edgeroberta"):
                    importlib.import_module(each.name)
                    names["edgeroberta"] = importlib.import_module("edgeroberta")
    return names


def _called(node: ast.expr, names: dict[str, Any]) -> Any:
    """Return what an expression like ``edgeroberta.runtime.Runtime.fake`` names, None for other things."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := _called(node.value, names)) is not None:
        return getattr(owner, node.attr)
    return None


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_compiles_and_its_calls_fit_the_signatures(block):
    tree = ast.parse(block)
    names = _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (target := _called(node.func, names)) is not None:
            keywords = {str(each.arg): None for each in node.keywords}
            inspect.signature(target).bind(*[None] * len(node.args), **keywords)


def test_a_call_with_a_wrong_keyword_is_found():
    block = "from edgeroberta.runtime import Runtime\n\nRuntime.fake(answer={})\n"
    with pytest.raises(TypeError, match="unexpected keyword argument 'answer'"):
        test_a_block_compiles_and_its_calls_fit_the_signatures(block)
