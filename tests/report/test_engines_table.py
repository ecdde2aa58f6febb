from __future__ import annotations

from edgeroberta.report import engines_table

TIMES = {"mean_ms": 1.5, "p50_ms": 1.25, "p99_ms": 2.0}
RAN = {"metrics": {"pearson": 0.86123}, "latency": TIMES, "agreement": 0.975}
OURS = {"engine": "onnxruntime", "version": "1.31.1", "status": "ok", "judgement": {"verdict": "PASS"}}
ABSENT = {"metrics": None, "latency": None, "agreement": None, "judgement": {"verdict": "FAIL"}}


def test_a_correlation_stays_a_number_and_what_did_not_run_says_why():
    report = {
        "metric": "pearson",
        "baseline": {"dtype": "float32", "bytes": 120e6, "metrics": {"pearson": 0.9}, "latency": None},
        "engines": [
            {**OURS, **RAN},
            {**ABSENT, "engine": "openvino", "status": "crashed"},
            {**ABSENT, "engine": "tensorrt", "status": "not installed"},
        ],
    }
    assert engines_table.table(report).text().splitlines() == [
        "model     engine              size MB  pearson  agreement %  mean ms  p50 ms  p99 ms  verdict",
        "baseline  torch, float32        120.0    0.900            –        –       –       –  –",
        "bundle    onnxruntime 1.31.1        –    0.861         97.5     1.50    1.25    2.00  PASS",
        "bundle    openvino                  –        –            –        –       –       –  "
        "FAIL (crashed)",
        "bundle    tensorrt                  –        –            –        –       –       –  "
        "to be measured on the device",
    ]
