"""Fixtures for the TensorRT runtime: fake libraries of every version, and graphs for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorrt_bundles
from fake_tensorrt import RTX, VERSIONS, FakeTensorRt


@pytest.fixture(params=[*VERSIONS, "rtx"])
def every(request, monkeypatch) -> FakeTensorRt:
    """Each version in turn, installed."""
    fake = FakeTensorRt(RTX, rtx=True) if request.param == "rtx" else FakeTensorRt(request.param)
    return fake.install(monkeypatch)


@pytest.fixture
def fake(monkeypatch) -> FakeTensorRt:
    """TensorRT 10.3 on an Orin, installed."""
    return FakeTensorRt().install(monkeypatch)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with both graphs and no manifest."""
    tensorrt_bundles.graph(tmp_path / "tensorrt.onnx", quantized=True)
    tensorrt_bundles.graph(tmp_path / "model_fp16.onnx", logits="FLOAT16")
    return tmp_path
