"""What a device installs: this package alone, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest

from edgeroberta.remote import wheel

#: tokenizers brings huggingface_hub, and that the rest.
MOST = 31
ASK = """
import sys
from edgeroberta.runtime import Runtime
with Runtime.open(sys.argv[1], engine="onnxruntime") as runtime:
    print(*runtime.labels, runtime("great film").label, sep="\\n")
"""


@pytest.mark.slow
def test_the_wheel_alone_runs_a_bundle_and_brings_few_distributions(tiny_bundle, tmp_path):
    made = wheel.build()
    (tmp_path / made.name).write_bytes(made.content)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"

    def install(*what: str) -> None:
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *what], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the packages cannot be installed: {done.stderr.strip().splitlines()[-1]}")

    def run(*arguments: object) -> str:
        return subprocess.run(
            [python, *arguments], capture_output=True, text=True, check=True, cwd=tmp_path
        ).stdout

    install(str(tmp_path / made.name))
    listed = json.loads(run("-m", "pip", "list", "--format=json", "--disable-pip-version-check"))
    names = {each["name"].lower() for each in listed} - {"pip", "setuptools"}
    assert {"edgeroberta", "numpy", "tokenizers"} <= names
    assert not names & {"torch", "transformers", "onnx", "onnxruntime"}
    assert len(names) <= MOST, sorted(names)
    install("onnxruntime")
    *labels, answer = run("-c", ASK, tiny_bundle).split()
    assert answer in labels


def test_the_package_itself_needs_what_the_runtime_needs():
    needed = (each for each in metadata.requires("edgeroberta") if "extra ==" not in each)
    assert {each.split(">")[0] for each in needed} <= {"numpy", "tokenizers", "tomli", "typer"}
