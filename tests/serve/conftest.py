"""Servers on a fake runtime, one of which answers only when told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import served

from edgeroberta.runtime import Runtime


class Gate:
    """Holds every call of a session until it is opened; counts those that came to it."""

    def __init__(self, runtime: Runtime) -> None:
        self.opened = threading.Event()
        self.reached = 0
        self._run = runtime.session.run
        runtime.session.run = self.run  # type: ignore[method-assign]

    def run(self, *arguments: Any) -> Any:
        self.reached += 1
        assert self.opened.wait(served.WAIT)
        return self._run(*arguments)


@pytest.fixture(scope="session")
def shared() -> Iterator[served.Running]:
    """One server with the usual limits, for tests that leave no trace in it."""
    server = served.start(Runtime.fake(answers={"great film": "positive"}))
    yield server
    server.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., served.Running]]:
    """A function that starts a server: ``start(runtime=None, **settings)``; all are stopped at the end."""
    servers: list[served.Running] = []

    def begin(runtime: Runtime | None = None, **settings: Any) -> served.Running:
        servers.append(served.start(runtime or Runtime.fake(), **settings))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


@pytest.fixture
def gated() -> Iterator[tuple[Runtime, Gate]]:
    """A fake runtime whose engine answers once its gate is opened, and the gate."""
    runtime = Runtime.fake()
    gate = Gate(runtime)
    yield runtime, gate
    gate.opened.set()
