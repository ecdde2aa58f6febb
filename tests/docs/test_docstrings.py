"""What docstrings and comments of the package name exists: modules, functions, classes, fields, files."""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from doc_pages import ROOT

import edgeroberta

PUBLIC = set(edgeroberta.__all__)
PACKAGE = ROOT / "edgeroberta"
FILES = sorted(PACKAGE.rglob("*.py"))
ROLE = re.compile(r":(?:mod|func|class|meth|attr|data):`~?([^`]+)`")
DOTTED = re.compile(r"``(edgeroberta(?:\.\w+)+)(?:\(\))?``")
CLASS = re.compile(r"``((?:[a-z_]\w*\.)+[A-Z]\w*[a-z]\w*)(?:\(\))?``")
SOURCE = re.compile(r"(?<![\w/.<>*{}])((?:\w+/)*\w+\.py)\b")

#: Files of other packages that are named.
ELSEWHERE = {"openvino/tools/ovc/__init__.py", "telemetry_utils.py"}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def source_of(module: str) -> Path | None:
    """The file of a module or package; None where there is none."""
    place = ROOT.joinpath(*module.split("."))
    return next((each for each in (place.with_suffix(".py"), place / "__init__.py") if each.is_file()), None)


def bound(nodes: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """The names that statements bind, each with the statement that does."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((each.asname or each.name.split(".")[0], node) for each in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (
                (each.id, node)
                for target in targets
                for each in ast.walk(target)
                if isinstance(each, ast.Name)
            )
        elif isinstance(node, (ast.If, ast.Try)):
            yield from bound([*node.body, *node.orelse])


@cache
def names(module: str) -> dict[str, ast.AST]:
    file = source_of(module)
    return {} if file is None else dict(bound(tree(file).body))


def members(node: ast.ClassDef) -> set[str]:
    own = {name for name, _ in bound(node.body)}
    return own | {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }


def found_in(module: str, parts: list[str]) -> bool:
    """Tell whether a module has a name, or its class has a member."""
    node = names(module).get(parts[0])
    if node is None or len(parts) > 2:
        return False
    if len(parts) == 1 or isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    return isinstance(node, ast.ClassDef) and (parts[1] in members(node) or bool(node.bases))


def exists(name: str, module: str) -> bool:
    """Tell whether what a docstring of a module names exists."""
    if name.startswith("."):
        name = f"{module if source_of(module).name == '__init__.py' else module.rpartition('.')[0]}{name}"
    parts = name.removesuffix("()").split(".")
    if module.startswith("edgeroberta.api") and name in PUBLIC:
        return True
    if parts[0] != "edgeroberta":
        inside = (node for node in names(module).values() if isinstance(node, ast.ClassDef))
        return found_in(module, parts) or any(parts[0] in members(each) for each in inside)
    for end in range(len(parts), 0, -1):
        if source_of(".".join(parts[:end])) is not None:
            rest = parts[end:]
            return not rest or found_in(".".join(parts[:end]), rest) or (end == 1 and rest[0] in PUBLIC)
    return False


def prose(file: Path) -> Iterator[tuple[int, str]]:
    """Docstrings and comments of a file, each with its line."""
    for node in ast.walk(tree(file)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                yield node.body[0].lineno, text
    for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def names_a_class(name: str) -> bool:
    """Tell whether ``module.Class`` is one of this package's, or of a package that is installed."""
    *places, last = name.split(".")
    elsewhere = importlib.util.find_spec(places[0])
    if elsewhere is not None and elsewhere.origin is not None:  # without one it is a folder of the tests
        return True
    inside = (file for file in FILES if file.with_suffix("").parts[-len(places) :] == tuple(places))
    return any(
        isinstance(node, ast.ClassDef) and node.name == last for file in inside for node in tree(file).body
    )


def is_there(path: str, file: Path) -> bool:
    return any((place / path).is_file() for place in (ROOT, PACKAGE, file.parent, ROOT / "tests"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_what_docstrings_and_comments_name_exists(file):
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    wrong = []
    for line, text in prose(file):
        called = [*ROLE.findall(text), *DOTTED.findall(text)]
        wrong += [f"{line}: {name}" for name in called if not exists(name, module)]
        wrong += [f"{line}: {name}" for name in CLASS.findall(text) if not names_a_class(name)]
        paths = set(SOURCE.findall(text)) - ELSEWHERE
        wrong += [f"{line}: {path}" for path in sorted(paths) if not is_there(path, file)]
    assert not wrong
