from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import edgeroberta
from edgeroberta.remote import wheel

PACKAGE = Path(edgeroberta.__file__).parent


def test_the_same_files_make_the_same_bytes():
    assert wheel.build().content == wheel.build().content


def test_a_wheel_made_from_an_installed_wheel_is_the_same(tmp_path):
    made = wheel.build()
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "edgeroberta" / "__pycache__").mkdir()
    (tmp_path / "edgeroberta" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert wheel.build(tmp_path / "edgeroberta").content == made.content


def test_pip_installs_it_with_recipes_and_command(tmp_path):
    made = wheel.build()
    file = tmp_path / made.name
    file.write_bytes(made.content)
    words = ["install", "--no-index", "--no-deps", "--quiet", "--target", tmp_path / "site", file]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)], check=True)
    assert (tmp_path / "site" / "edgeroberta" / "_recipes" / "int8.yaml").is_file()
    assert (tmp_path / "site" / "bin" / "edgeroberta").is_file()
    assert "onnxruntime" in made.extras
