"""The metrics are what Prometheus reads, and say what happened."""

from __future__ import annotations

import re

from served import get, post

from edgeroberta.serve.metrics import Histogram, Metrics

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = NAME + r'="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(\{{{LABEL}(?:,{LABEL})*\}})? (NaN|[+-]?(?:Inf|[0-9.]+(?:e[+-]?\d+)?))")


def families(text: str) -> dict[str, list[tuple[str, str, float]]]:
    """Read the text format 0.0.4 strictly: family to (name, labels, value) of each sample."""
    found: dict[str, list[tuple[str, str, float]]] = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, meaning = line[7:].split(" ", 1)
            assert meaning
            assert name not in found, f"{name} is there twice"
            found[name] = []
        elif line.startswith("# TYPE "):
            name, kinds[name] = line[7:].split(" ")
            assert name == list(found)[-1]
            assert kinds[name] in ("counter", "gauge", "histogram")
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            family = list(found)[-1]
            suffixes = ("_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",)
            assert match[1] in {family + suffix for suffix in suffixes}
            assert family.endswith("_total") == (kinds[family] == "counter")
            found[family].append((match[1], match[2] or "", float(match[3])))
    return found


def test_the_metrics_are_valid_and_complete(start):
    server = start()
    server.ask(post({"texts": ["a", "b"]}))
    server.ask(post({}))
    reply = server.ask(get("/metrics"))
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = families(reply.body.decode())
    assert ("edgeroberta_requests_total", '{path="/predict",code="400"}', 1.0) in found[
        "edgeroberta_requests_total"
    ]
    assert found["edgeroberta_texts_total"][0][2] == 2
    assert found["process_resident_memory_bytes"][0][2] > 1e6
    assert 'engine="fake"' in found["edgeroberta_build_info"][0][1]
    for name in ("request", "engine"):
        samples = found[f"edgeroberta_{name}_seconds"]
        counts = [value for sample, _, value in samples if sample.endswith("_bucket")]
        assert counts == sorted(counts)
        assert samples[-3][1:] == ('{le="+Inf"}', 1.0)
        assert samples[-1][2] == 1.0
        assert 0 < samples[-2][2] < 5
    assert set(found) >= {
        "edgeroberta_queue_depth", "edgeroberta_in_flight", "edgeroberta_rejected_total",
        "edgeroberta_truncated_total", "process_start_time_seconds", "process_cpu_seconds_total",
    }  # fmt: skip


def test_a_duration_counts_in_the_buckets_that_hold_it():
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    lines = histogram.samples("x")
    assert lines == [
        'x_bucket{le="0.1"} 2',
        'x_bucket{le="1.0"} 3',
        'x_bucket{le="+Inf"} 4',
        "x_sum 7.65",
        "x_count 4",
    ]


def test_labels_are_escaped():
    text = Metrics({"engine": 'a"b\\c\nd'}).render({}).decode()
    assert families(text)["edgeroberta_build_info"][0][1] == '{engine="a\\"b\\\\c\\nd"}'


def test_foreign_paths_do_not_fill_the_memory(start):
    server = start()
    for number in range(20):
        server.ask(get(f"/{number}"))
    assert server.metric('edgeroberta_requests_total{path="other",code="404"}') == 20
