from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fake_bundles
import pytest
import ssh_server
from ssh_server import Device


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """One device for all tests, so that its environment is made once."""
    if not ssh_server.available():
        pytest.skip("there is no ssh client on this machine")
    with ssh_server.serve(tmp_path_factory.mktemp("device") / "device") as served:
        yield served


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Device]:
    """A device that nobody has been to."""
    if not ssh_server.available():
        pytest.skip("there is no ssh client on this machine")
    with ssh_server.serve(tmp_path / "fresh") as served:
        yield served


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Agrees with its reference on 99 of 100 rows."""
    folder = tmp_path_factory.mktemp("remote")
    toy = fake_bundles.write(folder / "toy")
    data = fake_bundles.write_data(folder / "rows.csv", 100, toy)
    return fake_bundles.with_reports(folder / "bundle", data, wrong=1)
