from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks import front
from benchmarks.results import Latency, Machine, Result, Row, write
from edgeroberta.errors import EdgeRobertaError

MACHINE = Machine(
    name="box", cpu="Some CPU", flags=(), cores=2, memory_gb=8.0, system="Linux", python="3.12.0", load=0.1
)


def result(*rows: Row) -> Result:
    settings = {"data": "SST-2", "texts": 872, "threads": 1}
    return Result(
        benchmark="peers", measured="2026-01-02T03:04:05Z", machine=MACHINE, settings=settings, rows=rows
    )


def row(name: str, mean: float | None, accuracy: float = 0.87) -> Row:
    latency = Latency(n=1, warm_up=1, p50=99.0, p90=99.0, p99=99.0, round_p50=(99.0,), mean=mean)
    return Row(name=name, title=name, latency=latency, accuracy=accuracy)


def words(drawn: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawn).iter() if element.text]


def test_the_picture_names_tools_bundles_engines_data_and_unit():
    drawn = words(
        front.drawing(
            result(
                row("transformers-pipeline", 10.0),
                row("ctranslate2-int8", 2.0),
                row("transformers-padded", 40.0),
                row("cascade/onnxruntime", 0.6),
                row("cascade/openvino", 0.5),
                Row(name="llama-cpp-q8_0", title="", status="failed", error="died"),
            )
        )
    )
    assert {"transformers", "CTranslate2, int8", "cascade", "mean latency in ms", "accuracy"} <= set(drawn)
    assert {"EdgeRoBERTa, ONNX Runtime", "EdgeRoBERTa, OpenVINO", "other tools"} <= set(drawn)
    assert "SST-2: 872 texts, one at a time, 1 thread" in drawn
    assert not any("padded" in word or "llama" in word for word in drawn)


def test_the_mean_is_drawn_and_not_the_median():
    near, far = (
        front.drawing(result(row("transformers-pipeline", 10.0), row("tiny/openvino", mean)))
        for mean in (1.0, 0.3)
    )
    assert near != far


def test_results_older_than_the_mean_cannot_be_drawn():
    with pytest.raises(EdgeRobertaError, match="no row has an accuracy and a mean latency"):
        front.drawing(result(row("tiny/openvino", None)))


def test_a_file_of_results_is_drawn_from_the_command_line(tmp_path, monkeypatch):
    path = write(result(row("tiny/openvino", 0.5)), folder=tmp_path)
    monkeypatch.setattr("sys.argv", ["front", str(path), str(tmp_path / "front.svg")])
    front.main()
    assert (tmp_path / "front.svg").read_text(encoding="utf-8").startswith("<svg ")
