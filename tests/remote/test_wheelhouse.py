"""Real pip on a device without a package index; what it is to install comes along."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ssh_server import host_of

from edgeroberta.benchmark.hosts import HostResult
from edgeroberta.benchmark.run import BenchRequest

pytestmark = pytest.mark.slow


def write_wheel(folder: Path, name: str, requires: str = "") -> None:
    """Write a wheel of one empty module."""
    info = f"{name}-1.0.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{file},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()[:-1]},"
        f"{len(text)}\n"
        for file, text in files.items()
    )
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for file, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(file, text)


@pytest.fixture
def bench(on, fresh, bundle) -> Callable[[Path], HostResult]:
    """A function that benches with a wheelhouse on a device whose environments get a pip of their own."""
    (fresh.home / "site" / "sitecustomize.py").unlink()
    # The one that installs nothing from an index says so itself: no --no-index here.
    host = host_of(fresh, "kitchen", pip_args=("roof",))
    return lambda wheels: on(BenchRequest(bundle, rounds=1), wheelhouse=wheels, kitchen=host)[0]


def test_what_a_device_lacks_comes_from_the_wheelhouse(bench, fresh, tmp_path):
    write_wheel(tmp_path / "wheels", "roof", requires="wall")
    write_wheel(tmp_path / "wheels", "wall")
    result = bench(tmp_path / "wheels")
    assert result.error is None
    (environment,) = (each for each in (fresh.root / "venvs").iterdir() if each.is_dir())
    installed = {file.name for file in environment.glob("lib/*/site-packages/*.py")}
    assert {"roof.py", "wall.py"} <= installed
    assert bench(tmp_path / "wheels").shipped_files == 0


def test_a_wheel_that_is_missing_is_named(bench, fresh, tmp_path):
    write_wheel(tmp_path / "wheels", "roof", requires="wall")
    result = bench(tmp_path / "wheels")
    assert result.error.code == "device.environment"
    assert "No matching distribution found for wall" in result.error.what
    assert "docs/guides/remote.md" in result.error.hint
    assert "--wheelhouse" not in result.error.hint
    assert not [each for each in (fresh.root / "venvs").iterdir() if each.is_dir()]
