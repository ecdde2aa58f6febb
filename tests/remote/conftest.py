from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_bundles
import pytest
import ssh_server
from ssh_server import Device, host_of

from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.hosts import HostResult, run_remote
from edgeroberta.progress import Progress
from edgeroberta.remote import hosts as known_hosts
from edgeroberta.remote.hosts import Host
from edgeroberta.remote.retrying import RetryPolicy


@pytest.fixture(scope="session")
def device(tmp_path_factory) -> Iterator[Device]:
    """One device for all tests, so that its environment is made once."""
    if not ssh_server.available():
        pytest.skip("there is no ssh client on this machine")
    with ssh_server.serve(tmp_path_factory.mktemp("device") / "device") as served:
        yield served


@pytest.fixture
def fresh(tmp_path) -> Iterator[Device]:
    """A device that nobody has been to."""
    if not ssh_server.available():
        pytest.skip("there is no ssh client on this machine")
    with ssh_server.serve(tmp_path / "fresh") as served:
        yield served


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """Agrees with its reference on 99 of 100 rows."""
    folder = tmp_path_factory.mktemp("remote")
    toy = fake_bundles.write(folder / "toy")
    data = fake_bundles.write_data(folder / "rows.csv", 100, toy)
    return fake_bundles.with_reports(folder / "bundle", data, wrong=1)


@pytest.fixture
def on(monkeypatch) -> Callable[..., tuple[HostResult, ...]]:
    """A function that benches on devices or hosts, each under a name."""

    def run(
        request: BenchRequest,
        progress: Progress | None = None,
        *,
        delays: tuple[float, ...] = (0.1,) * 5,
        keep: bool = True,
        wheelhouse: Path | None = None,
        **devices: Device | Host,
    ) -> tuple[HostResult, ...]:
        found = [host_of(each, name) if isinstance(each, Device) else each for name, each in devices.items()]
        monkeypatch.setattr(known_hosts, "find", lambda names: found)
        others: dict[str, Any] = {
            "keep": keep,
            "wheelhouse": wheelhouse,
            "retry": lambda: RetryPolicy(delays),
        }
        return run_remote(request, list(devices), progress=progress or Progress(), **others)

    return run


@pytest.fixture
def there(on, device) -> Callable[..., HostResult]:
    """A function that benches on the device."""
    return lambda request, progress=None: on(request, progress, kitchen=device)[0]
