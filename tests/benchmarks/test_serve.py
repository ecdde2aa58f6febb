"""The load of benchmarks/serve.py in small: every answer arrives, every malformed request is refused."""

from __future__ import annotations

import fake_bundles
import fake_cascades
import pytest

from benchmarks import serve


def test_a_server_under_load_loses_nothing_and_keeps_every_promise(tmp_path):
    bundle = fake_bundles.write(tmp_path / "bundle")
    row = serve.measure(bundle, clients=4, requests=1200, warm_up=400)
    values = dict(row.values)
    assert values["requests"] == 1200
    assert values["malformed requests"] == 60
    assert row.latency.n == 1140
    failed = [check for check in serve.checks(row) if not check.ok]
    assert failed == []


def test_a_cascade_under_load_answers_as_its_runtime_does_tier_by_tier(tmp_path):
    fake_cascades.write(tmp_path / "bundle", thresholds=(0.8,))
    row = serve.measure(tmp_path / "bundle", clients=4, requests=1200, warm_up=400)
    values = dict(row.values)
    assert [check for check in serve.checks(row) if not check.ok] == []
    assert 0 < values["answered by tiny %"] < 100
    assert values["answered by tiny %"] + values["answered by int8 %"] == pytest.approx(100, abs=0.01)
