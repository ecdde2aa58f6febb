from __future__ import annotations

from pathlib import Path

from edgeroberta.bench.subjects import engine_bytes


def test_weights_beside_the_graph_count_as_what_an_engine_loads(tmp_path: Path) -> None:
    for name, size in (("model.onnx", 10), ("model.onnx_data", 200), ("tokenizer.json", 3), ("other", 5000)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert engine_bytes(tmp_path, "onnxruntime") == 213
