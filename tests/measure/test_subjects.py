from __future__ import annotations

from edgeroberta.measure.subjects import engine_bytes, runs_on
from edgeroberta.targets import matching
from edgeroberta.targets.matching import TargetFacts


def test_weights_beside_the_graph_count_as_what_an_engine_loads(tmp_path):
    for name, size in (("model.onnx", 10), ("model.onnx_data", 200), ("tokenizer.json", 3), ("other", 5000)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert engine_bytes(tmp_path, "onnxruntime") == 213


def test_an_engine_on_a_gpu_is_told_by_the_gpu_s_name(monkeypatch):
    for found, name in (
        (TargetFacts("x86_64", "cpu", gpus=("NVIDIA H200",)), "NVIDIA H200"),
        (TargetFacts("aarch64", "cpu", board="NVIDIA Jetson AGX Orin"), "NVIDIA Jetson AGX Orin"),
        (TargetFacts("x86_64", "cpu"), "gpu"),
    ):
        monkeypatch.setattr(matching, "target_facts", lambda facts, found=found: found)
        assert runs_on("onnxruntime-cuda") == name
    assert {runs_on(engine) for engine in ("onnxruntime", "openvino")} == {"cpu"}
