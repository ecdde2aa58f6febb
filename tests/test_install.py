"""The wheel alone, in an empty environment: what it brings along, and that it runs a bundle.

Needs a package index.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edgeroberta

ROOT = Path(edgeroberta.__file__).parents[1]
DISTRIBUTIONS = """
import importlib.metadata, json
names = {each.metadata["Name"].lower().replace("-", "_") for each in importlib.metadata.distributions()}
print(json.dumps(sorted(names - {"pip", "setuptools", "wheel"})))
"""
ANSWER = """
import sys, edgeroberta
with edgeroberta.load(sys.argv[1], engine="onnxruntime") as runtime:
    print(runtime("great film").label)
"""

pytestmark = pytest.mark.slow


class Environment:
    """A virtual environment that sees nothing but what is installed into it."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        self.bin = folder / "bin"

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run one of its programs elsewhere than in the checkout, without the tests' own environment."""
        program, *rest = map(str, words)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.bin.parent), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [str(self.bin / program), *rest], cwd=self.bin, env=environment, capture_output=True, text=True
        )

    def install(self, *words: object) -> list[str]:
        """Install packages, and return the names of all that are there then."""
        pip = [str(self.bin / "python"), "-m", "pip", "install", "-q", *map(str, words)]
        subprocess.run(pip, check=True)
        found: list[str] = json.loads(self.run("python", "-c", DISTRIBUTIONS).stdout)
        return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)], check=True
    )
    (made,) = folder.glob("edgeroberta-*.whl")
    return made


def test_the_wheel_has_the_page_that_serve_shows(wheel):
    from edgeroberta.serve import page

    with zipfile.ZipFile(wheel) as archive:
        for name, _ in page.FILES.values():
            assert archive.read(f"edgeroberta/_page/{name}") == (page.folder() / name).read_bytes()


def test_the_wheel_requires_numpy_and_tokenizers_alone(wheel, tmp_path):
    alone, tokenizers = Environment(tmp_path / "alone"), Environment(tmp_path / "tokenizers")
    expected = {"edgeroberta", "numpy", *(("tomli",) if sys.version_info < (3, 11) else ())}
    found = alone.install(wheel)
    print(f"{len(found)} distributions: {', '.join(found)}")
    assert set(found) - set(tokenizers.install("tokenizers>=0.20")) == expected
    assert not {"typer", "rich", "onnxruntime", "pydantic", "torch"} & set(found)

    for command in (["edgeroberta"], ["edgeroberta", "--help"], ["python", "-m", "edgeroberta"]):
        done = alone.run(*command)
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr.splitlines()[1:] == ["  next: pip install 'edgeroberta[cli]'"]


def test_a_device_runs_a_bundle_with_four_packages_and_a_command_line_with_its_extra(
    wheel, tmp_path, tiny_bundle
):
    """Without what ``tokenizers`` requires to download from the Hub, as the documents say."""
    device = Environment(tmp_path / "device")
    tomli = ("tomli",) if sys.version_info < (3, 11) else ()
    found = device.install("--no-deps", wheel, "numpy", "tokenizers", "onnxruntime", *tomli)
    assert found == sorted(["edgeroberta", "numpy", "onnxruntime", "tokenizers", *tomli])
    wanted = edgeroberta.load(tiny_bundle, engine="onnxruntime")("great film").label
    done = device.run("python", "-c", ANSWER, tiny_bundle)
    assert (done.returncode, done.stdout) == (0, f"{wanted}\n"), done.stderr

    device.install(f"{wheel}[cli]")
    done = device.run("edgeroberta", "run", tiny_bundle, "great film", "--engine", "onnxruntime", "--json")
    assert json.loads(done.stdout)["predictions"][0]["label"] == wanted, done.stderr
