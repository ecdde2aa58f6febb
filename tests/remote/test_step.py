"""Steps in a process of this machine, as they run on a device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_progress import Heard

from edgeroberta.errors import EdgeRobertaError, EngineError, UnavailableError
from edgeroberta.progress import Progress
from edgeroberta.remote.step import Step, run_here

MODULE = """
import atexit, logging, os, warnings
from edgeroberta.errors import UnavailableError
def f(arguments, progress):
    progress.line("halfway")
    logging.getLogger("edgeroberta.x").warning("old")
    print("a library's line", flush=True)
    if arguments["do"] == "raise":
        raise UnavailableError("no GPU", where="gpu", hint="add one", code="unavailable.extra")
    if arguments["do"] == "open":
        open("/no/such")
    if arguments["do"] == "break":
        raise KeyError("x")
    if arguments["do"] == "die":
        os._exit(9)
    if arguments["do"] == "die at the end":
        atexit.register(os._exit, 9)
    return {"given": arguments}
"""


def run(folder: Path, do: str, said: Progress) -> Any:
    (folder / "module.py").write_text(MODULE, encoding="utf-8")
    environment = {"PYTHONPATH": f"{Path(__file__).parents[2]}:{folder}"}
    return run_here(Step("try", "module:f", {"do": do}), environment=environment, progress=said)


def test_what_a_function_returns_comes_back_and_what_it_tells_is_told(tmp_path):
    said = Heard()
    assert run(tmp_path, "return", said) == {"given": {"do": "return"}}
    assert said.lines == ["halfway", "warning: old", "a library's line"]


def test_what_a_function_raises_comes_back_with_its_code(tmp_path):
    with pytest.raises(UnavailableError) as caught:
        run(tmp_path, "raise", Progress())
    error = UnavailableError("no GPU", where="gpu", hint="add one", code="unavailable.extra")
    assert caught.value.to_json() == error.to_json()


@pytest.mark.parametrize(
    ("do", "what", "where"),
    [
        ("open", "the system refuses this: No such file or directory", "/no/such"),
        ("break", "unexpected KeyError: 'x'", None),
    ],
)
def test_other_errors_are_put_in_our_words(tmp_path, do, what, where):
    with pytest.raises(EdgeRobertaError) as caught:
        run(tmp_path, do, Progress())
    assert (caught.value.what, caught.value.where, caught.value.code) == (what, where, "failed")


@pytest.mark.parametrize("when", ["die", "die at the end"])
def test_a_process_that_dies_is_told_with_its_last_words(tmp_path, when):
    words = "try ended with exit code 9: halfway | warning: old | a library's line"
    with pytest.raises(EngineError) as caught:
        run(tmp_path, when, Progress())
    assert caught.value.what == words


def test_what_a_device_does_needs_nothing_but_the_bare_install():
    script = (
        "import sys\n"
        "for name in ('typer', 'click', 'rich', 'pydantic', 'yaml', 'torch', 'onnx', 'jinja2'):\n"
        "    sys.modules[name] = None\n"
        "from edgeroberta.remote import step\n"
        "from edgeroberta.benchmark import device_steps\n"
        "from edgeroberta.latency import device_steps\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
