"""What ``import edgeroberta`` offers, and how little it imports."""

from __future__ import annotations

import inspect
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgeroberta
from edgeroberta import api, errors

ROOT = Path(edgeroberta.__file__).parents[1]
HEAVY = (
    "torch",
    "transformers",
    "onnx",
    "pydantic",
    "yaml",
    "typer",
    "click",
    "rich",
    "jinja2",
    "huggingface_hub",
)
FUNCTIONS = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]


def loaded(code: str, *arguments: str) -> list[str]:
    """Return which heavy packages a program has imported at its end."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nprint(json.dumps([n for n in {HEAVY} if n in sys.modules]))",
            *arguments,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=True,
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_importing_the_package_and_opening_a_bundle_import_nothing_heavy(tiny_bundle):
    code = """
import json, sys
import edgeroberta
assert {name for name in sys.modules if name.startswith("edgeroberta.")} <= {"edgeroberta.version"}
assert edgeroberta.load(sys.argv[1])("great film").label
"""
    assert loaded(code, str(tiny_bundle)) == []


def test_naming_every_function_imports_nothing_heavy():
    assert loaded("import json, sys\nfrom edgeroberta import *\nprint(compress, bench, check_bundle)") == []


def test_the_package_offers_what_the_api_does():
    assert edgeroberta.__all__ == api.__all__ == sorted(api.__all__)
    assert set(api.__all__) <= set(dir(edgeroberta))
    assert edgeroberta.EvaluationResult is api.EvaluationResult
    for name in ("EdgeRobertaError", "UsageError", "GateError"):
        assert getattr(edgeroberta, name) is getattr(errors, name)
    with pytest.raises(AttributeError, match="no attribute 'compres'"):
        _ = edgeroberta.compres  # type: ignore[attr-defined]


def test_no_module_of_the_package_hides_a_function() -> None:
    """Importing ``edgeroberta.x`` sets that attribute, whatever the package itself offers by the name."""
    modules = {each.name for each in pkgutil.iter_modules(edgeroberta.__path__)}
    assert not modules & set(edgeroberta.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_after_the_second_are_named_and_all_are_told(name):
    function = getattr(api, name)
    of_another = {"preview": api.compress, "preview_pretraining": api.pretrain}
    documented = inspect.getdoc(of_another.get(name, function)) or ""
    for number, parameter in enumerate(inspect.signature(function).parameters.values()):
        wanted = inspect.Parameter.POSITIONAL_OR_KEYWORD if number < 2 else inspect.Parameter.KEYWORD_ONLY
        assert parameter.kind in (wanted, inspect.Parameter.KEYWORD_ONLY), parameter
        assert f"\n    {parameter.name}: " in documented, parameter
