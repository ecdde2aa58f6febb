"""Codes are complete, and no code of ours reads the words of an error."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeroberta import errors
from edgeroberta.error_codes import CODES

PACKAGE = Path(str(errors.__file__)).parent
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
#: Exit codes of the classes of errors.py, by name.
CLASSES = {name: kind.exit_code for name, kind in vars(errors).items() if hasattr(kind, "exit_code")}


def carried() -> Iterator[tuple[str, str]]:
    """Yield each class that an error has or derives from, with a code that is written for it."""
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                for each in node.body:
                    target = getattr(each, "target", None) or (getattr(each, "targets", None) or [None])[0]
                    if getattr(target, "id", "") == "code":
                        base = node.name if node.name in CLASSES else ast.unparse(node.bases[0])
                        yield base, ast.literal_eval(each.value)  # type: ignore[attr-defined]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1].endswith("Error"):
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        yield ast.unparse(node.func).split(".")[-1], keyword.value.value


def test_every_code_that_is_carried_is_described_and_no_other():
    assert {code for _, code in carried()} == set(CODES)


@pytest.mark.parametrize(("kind", "code"), sorted(set(carried())))
def test_a_code_ends_the_command_as_its_class_does(kind, code):
    if kind in CLASSES:
        assert CLASSES[kind] == CODES[code].exit_code


def test_every_code_is_in_the_page():
    page = (PACKAGE.parent / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    assert all(f"\n| `{code}` | {each.exit_code} | {each.meaning} |" in page for code, each in CODES.items())


#: Words of other people's programs that nothing else tells: file, and why.
FOREIGN = {"pipeline/workspace.py": "safetensors tells a full disk by the system's words alone"}
TAKES_APART = {
    *("startswith", "endswith", "partition", "rpartition", "split", "find", "index", "count"),
    *("removeprefix", "removesuffix", "match", "search", "fullmatch", "findall", "finditer"),
}


def words_of(node: ast.AST, caught: set[str]) -> bool:
    """Tell ``str(error)``, ``error.what``, ``error.hint``, ``error.where``, ``error.args`` and the like."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("str", "repr"):
        return any(isinstance(each, ast.Name) and each.id in caught for each in node.args)
    if isinstance(node, ast.Subscript):
        return words_of(node.value, caught)
    named = isinstance(node, ast.Attribute) and node.attr in ("what", "hint", "where", "args", "message")
    return named and isinstance(node.value, ast.Name) and node.value.id in caught  # type: ignore[attr-defined]


def dissections(tree: ast.AST) -> list[int]:
    """Return the lines in which the words of an error decide something."""
    caught = {each.name for each in ast.walk(tree) if isinstance(each, ast.ExceptHandler) and each.name}
    caught |= {
        each.arg
        for each in ast.walk(tree)
        if isinstance(each, ast.arg) and each.annotation and "Error" in ast.unparse(each.annotation)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            told = any(isinstance(each, (ast.In, ast.NotIn, ast.Eq, ast.NotEq)) for each in node.ops)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts, told = [node.func.value, *node.args], node.func.attr in TAKES_APART
        else:
            continue
        if told and any(words_of(each, caught) for each in parts):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("'x' in str(error)", True),
        ("error.what == 'x'", True),
        ("error.args[0].startswith('x')", True),
        ("re.search('x', error.what)", True),
        ("error.what.partition(': ')", True),
        ("error.code == 'x'", False),
        ("print(f'{error.what}')", False),
        ("str(error).splitlines()[0]", False),
    ],
)
def test_what_takes_a_message_apart_is_seen(code, found):
    assert bool(dissections(ast.parse(f"try:\n    f()\nexcept E as error:\n    {code}"))) is found


def test_no_code_reads_the_words_of_an_error():
    names = {file: file.relative_to(PACKAGE).as_posix() for file in TREES}
    found = {names[file]: lines for file, tree in TREES.items() if (lines := dissections(tree))}
    assert set(found) == set(FOREIGN), found
