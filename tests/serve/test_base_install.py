"""The server needs no more than the runtime does: the standard library, on Python 3.10 too."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import edgeroberta.serve

FILES = sorted(Path(edgeroberta.serve.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_of_the_server_imports_the_standard_library_and_the_runtime_alone(file):
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 10))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    foreign = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    device = ("edgeroberta.errors", "edgeroberta.runtime", "edgeroberta.storage", "edgeroberta.serve")
    assert {name for name in foreign if name != "edgeroberta" and not name.startswith(device)} == set()
