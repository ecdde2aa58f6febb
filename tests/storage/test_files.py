from __future__ import annotations

import ast
from pathlib import Path

import edgeroberta
from edgeroberta.roberta import files as model_files
from edgeroberta.storage import files

ROOT = Path(edgeroberta.__file__).parent
#: Where they are spelled, and ``tasks/``, which is below both and names config.json in its errors.
SPELLED = ("storage/files.py", "roberta/files.py", "tasks/config.py", "tasks/pooling.py")


def names() -> set[str]:
    """Every file name that the two modules give a name to."""
    found: set[str] = set()
    for module in (files, model_files):
        for value in (value for name, value in vars(module).items() if name.isupper()):
            parts = value if isinstance(value, tuple) else (value,)
            found |= {name for part in parts for name in (part if isinstance(part, tuple) else (part,))}
    return found


def test_the_names_of_shared_files_are_spelled_once():
    known, again = names(), []
    assert {"config.json", "tokenizer.json", "model.safetensors", "model.onnx", "model_fp16.onnx"} <= known
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        for node in () if name in SPELLED else ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in known:
                again.append(f"{name}:{node.lineno}: {node.value}")
    assert again == []
