"""The runtime on a device: which packages it needs, and that it needs no others."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgeroberta

PACKAGE = Path(edgeroberta.__file__).parent
RUNTIME = sorted((PACKAGE / "runtime").rglob("*.py"))
ENGINES = {"onnxruntime", "openvino"}
# Of the kinds of task, what is done before there is a bundle.
FITTED = PACKAGE / "tasks" / "span_threshold.py"
ALLOWED = {"numpy", "tokenizers"}

ABSENT = (
    "torch",
    "transformers",
    "onnx",
    "pydantic",
    "yaml",
    "safetensors",
    "accelerate",
    "huggingface_hub",
    "typer",
    "pandas",
)
BLOCK = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""
ASK = """
import json, sys
from edgeroberta.runtime import Runtime
runtime = Runtime.open(sys.argv[1], engine=sys.argv[2])
answers = runtime(["great film", "word " * 600])
print(json.dumps([[answer.label, answer.score, answer.truncated] for answer in answers]))
"""


ASK_ENTITIES = """
import json, sys
from edgeroberta.runtime import Runtime
runtime = Runtime.open(sys.argv[1], engine=sys.argv[2], long_text="windows")
answer = runtime(TEXT)
entities = [[one.label, one.start, one.end, one.text] for one in answer.entities]
print(json.dumps({"windows": answer.windows, "entities": entities}))
"""
LONG = "Ann met Bob in Paris, 😀 and the film was great. " * 8


def imports(file: Path) -> set[str]:
    """Return the modules that a file imports anywhere but for types alone, by full name."""
    names = set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        inner
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in set(ast.walk(tree)) - for_types:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add(node.module)
            # `from edgeroberta.runtime import lengths` imports a module, too.
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def device_files() -> set[Path]:
    """Return every file of this package that the runtime imports, itself included."""
    found: set[Path] = set()
    waiting = [*RUNTIME, PACKAGE / "__init__.py"]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for name in imports(file):
            if name.partition(".")[0] == "edgeroberta":
                path = PACKAGE.joinpath(*name.split(".")[1:])
                waiting += [
                    each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()
                ]
    return found


def test_the_device_half_is_small_and_known():
    names = {file.relative_to(PACKAGE).as_posix() for file in device_files()}
    assert {name for name in names if not name.startswith("runtime/")} == {
        "__init__.py",
        "storage/__init__.py",
        "storage/artifact.py",
        "version.py",
        "storage/cache.py",
        "storage/codedigest.py",
        "storage/files.py",
        "errors.py",
        "storage/jsontext.py",
        "storage/paths.py",
        *(
            file.relative_to(PACKAGE).as_posix()
            for file in (PACKAGE / "tasks").glob("*.py")
            if file != FITTED
        ),
    }


@pytest.mark.parametrize("file", sorted(device_files()), ids=lambda file: file.name)
def test_device_files_import_only_what_a_device_has_and_parse_on_python_3_10(file):
    ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 10))
    others = {name.partition(".")[0] for name in imports(file)} - set(sys.stdlib_module_names)
    # An engine may be imported by its own files only.
    own = file.stem.partition("_")[0]
    assert others <= ALLOWED | {"edgeroberta", own if own in ENGINES else "numpy"}


@pytest.mark.parametrize("file", sorted(device_files()), ids=lambda file: file.name)
def test_engines_and_the_tokenizer_are_imported_when_needed_only(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    top = {
        alias.name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    top |= {(node.module or "").partition(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not top & (ENGINES | {"tokenizers"})


def ask(python: str, script: str, *arguments: str, root: Path = PACKAGE.parent) -> str:
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [python, "-c", script, *arguments], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_bundle_runs_where_nothing_of_the_compress_side_is_installed(tiny_bundle, engine):
    from edgeroberta.runtime import Runtime

    answers = json.loads(ask(sys.executable, BLOCK + ASK, str(tiny_bundle), engine))
    with Runtime.open(tiny_bundle, engine=engine) as runtime:
        here = runtime(["great film", "word " * 600])
    assert answers == [[one.label, pytest.approx(one.score), one.truncated] for one in here]


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_entities_are_found_where_nothing_of_the_compress_side_is_installed(
    make_bundle, tiny_token_checkpoint, engine
):
    from edgeroberta.runtime import Runtime

    bundle = make_bundle(tiny_token_checkpoint, engines=(engine,), max_length=32)
    script = ASK_ENTITIES.replace("TEXT", repr(LONG))
    found = json.loads(ask(sys.executable, BLOCK + script, str(bundle), engine))
    with Runtime.open(bundle, engine=engine, long_text="windows") as runtime:
        here = runtime(LONG)
    assert found["windows"] == here.windows > 1
    assert found["entities"] == [[one.label, one.start, one.end, one.text] for one in here.entities]


def test_the_blocker_blocks():
    with pytest.raises(AssertionError, match="No module named 'torch'"):
        ask(sys.executable, BLOCK + "import torch")


def test_importing_the_runtime_loads_no_engine_and_nothing_slow():
    loaded = ask(sys.executable, "import sys, edgeroberta.runtime; print(*sys.modules)").split()
    assert "edgeroberta.runtime.core" in loaded
    slow = {*ENGINES, *ABSENT, "tokenizers", "asyncio", "http", "email", "multiprocessing"}
    assert not slow & set(loaded)


def test_importing_the_package_loads_nothing_at_all():
    loaded = ask(sys.executable, "import sys, edgeroberta; print(*sys.modules)").split()
    assert "numpy" not in loaded
    assert {name for name in loaded if name.startswith("edgeroberta")} == {
        "edgeroberta",
        "edgeroberta.version",
    }


def test_without_an_engine_the_pip_line_is_told(tiny_bundle):
    script = BLOCK.replace("'torch'", "'onnxruntime', 'openvino'") + (
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "engines = ('onnxruntime', 'openvino')\n"
        "importlib.util.find_spec = lambda name: None if name in engines else find(name)\n"
        "from edgeroberta.runtime import Runtime, UnavailableError\n"
        "try:\n"
        "    Runtime.open(sys.argv[1])\n"
        "except UnavailableError as error:\n"
        "    print(error.code, error.hint)\n"
    )
    said = ask(sys.executable, script, str(tiny_bundle))
    assert said == "unavailable.extra pip install 'edgeroberta[onnxruntime]'\n"


def python310() -> str:
    """Return a Python 3.10 interpreter: the one of JetPack 6 and of Ubuntu 22.04."""
    places = [shutil.which("python3.10")]
    for root in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        if root:
            places += map(str, sorted(Path(root).glob("versions/3.10.*/bin/python")))
    for place in places:
        # pyenv's shims exist for versions that are not active, and then fail.
        if place and subprocess.run([place, "-c", ""], capture_output=True, check=False).returncode == 0:
            return place
    pytest.skip("there is no Python 3.10 on this machine")


def test_device_files_compile_on_python_3_10():
    script = (
        "import pathlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    compile(pathlib.Path(name).read_text(encoding='utf-8'), name, 'exec')"
    )
    ask(python310(), script, *map(str, sorted(device_files())))


@pytest.mark.slow
def test_a_bundle_runs_on_python_3_10(tiny_bundle, make_bundle, tiny_token_checkpoint, tmp_path):
    subprocess.run([python310(), "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "numpy", "tokenizers", "onnxruntime"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the packages cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    # A copy: where this package is installed, the packages of this Python lie beside it.
    shutil.copytree(PACKAGE, tmp_path / "root" / "edgeroberta")
    answers = json.loads(ask(python, ASK, str(tiny_bundle), "onnxruntime", root=tmp_path / "root"))
    assert [answer[2] for answer in answers] == [False, True]
    tagger = make_bundle(tiny_token_checkpoint, max_length=32)
    script = BLOCK + ASK_ENTITIES.replace("TEXT", repr(LONG))
    found = json.loads(ask(python, script, str(tagger), "onnxruntime", root=tmp_path / "root"))
    assert found["windows"] > 1
    assert all(LONG[start:end] == text for _, start, end, text in found["entities"])
