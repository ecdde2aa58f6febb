"""The metrics are what Prometheus reads, and say what happened."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families
from served import get, post

from edgeroberta.serve.metrics import BOUNDS


def families(text: str) -> dict[str, tuple[str, dict[str, float]]]:
    """Read the text format: family to its kind, and the values by sample name and labels."""
    return {
        family.name: (
            family.type,
            {
                " ".join([sample.name, *(value for _, value in sorted(sample.labels.items()))]): sample.value
                for sample in family.samples
            },
        )
        for family in text_string_to_metric_families(text)
    }


def test_the_metrics_are_valid_and_complete(start):
    server = start()
    server.ask(post({"texts": ["a", "b"]}))
    server.ask(post({}))
    reply = server.ask(get("/metrics"))
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = families(reply.body.decode())
    assert found["edgeroberta_requests"] == (
        "counter",
        {"edgeroberta_requests_total 200 /predict": 1.0, "edgeroberta_requests_total 400 /predict": 1.0},
    )
    assert found["edgeroberta_texts"] == ("counter", {"edgeroberta_texts_total": 2.0})
    assert found["process_resident_memory_bytes"][1]["process_resident_memory_bytes"] > 1e6
    assert 'engine="fake"' in reply.body.decode()
    for name in ("edgeroberta_request_seconds", "edgeroberta_engine_seconds"):
        kind, samples = found[name]
        assert kind == "histogram"
        assert samples[f"{name}_bucket +Inf"] == samples[f"{name}_count"] == 1.0
        assert 0 < samples[f"{name}_sum"] < 5
        assert [float(sample.split()[1]) for sample in samples if "_bucket" in sample] == [*BOUNDS, math.inf]
    assert set(found) == {
        "edgeroberta_requests", "edgeroberta_rejected", "edgeroberta_texts", "edgeroberta_truncated",
        "edgeroberta_windowed", "edgeroberta_entities", "edgeroberta_abandoned",
        "edgeroberta_request_seconds", "edgeroberta_engine_seconds",
        "edgeroberta_queue_depth", "edgeroberta_queue_limit", "edgeroberta_in_flight",
        "edgeroberta_connections", "edgeroberta_build_info", "process_resident_memory_bytes",
        "process_virtual_memory_bytes", "process_start_time_seconds", "process_cpu_seconds",
        "process_open_fds", "process_max_fds",
    }  # fmt: skip


def test_foreign_paths_do_not_fill_the_memory(start):
    server = start()
    for number in range(20):
        server.ask(get(f"/{number}"))
    assert server.metric('edgeroberta_requests_total{code="404",path="other"}') == 20
