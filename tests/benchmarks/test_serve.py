"""The load of benchmarks/serve.py in small: every answer arrives, every malformed request is refused."""

from __future__ import annotations

import fake_bundles

from benchmarks import serve


def test_a_server_under_load_loses_nothing_and_keeps_every_promise(tmp_path):
    bundle = fake_bundles.write(tmp_path / "bundle")
    row = serve.measure(bundle, clients=4, requests=4000, warm_up=2000)
    values = dict(row.values)
    assert values["requests"] == 4000
    assert values["malformed requests"] == 200
    assert row.latency.n == 3800
    failed = [check for check in serve.checks(row) if not check.ok]
    assert failed == []
