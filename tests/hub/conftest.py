from __future__ import annotations

import loopback_hub
import pytest


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with loopback_hub.running() as found:
        loopback_hub.join(monkeypatch, found, tmp_path / "hub-cache")
        yield found
