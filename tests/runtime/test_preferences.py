"""Which engine is best here: remembered for this bundle on this device, and for nothing else."""

from __future__ import annotations

import importlib.metadata
import json
import logging

import pytest

from edgeroberta.runtime import preferences
from edgeroberta.runtime.preferences import device_facts, preferred, remember
from edgeroberta.storage.cache import cache_dir


@pytest.fixture
def board(tmp_path):
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson Orin Nano Developer Kit\0")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3, GCID: 1\n# more\n")
    return tmp_path


def test_what_is_remembered_is_preferred(board):
    assert preferred("d1", board) is None
    assert remember("d1", "tensorrt-fp16", why="fp16 is faster", figures={"p50_ms": {}}, root=board)
    assert preferred("d1", board) == "tensorrt-fp16"
    remember("d1", "tensorrt", why="now int8 is", figures={}, root=board)
    assert preferred("d1", board) == "tensorrt"


def test_another_bundle_or_device_or_version_has_no_preference(board, tmp_path, monkeypatch):
    remember("d1", "tensorrt", why="", figures={}, root=board)
    assert preferred("d2", board) is None
    (board / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.7, GCID: 1\n")
    assert preferred("d1", board) is None
    (board / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3, GCID: 1\n# more\n")
    assert preferred("d1", board) == "tensorrt"
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "99.0")
    assert preferred("d1", board) is None


def test_the_facts_name_board_system_gpus_and_engines(board):
    gpu = board / "proc/driver/nvidia/gpus/0000:01:00.0"
    gpu.mkdir(parents=True)
    (gpu / "information").write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   30\n")
    facts = device_facts(board)
    assert facts["board"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert facts["l4t"] == "# R36 (release), REVISION: 4.3, GCID: 1"
    assert facts["gpus"] == "NVIDIA H100 80GB HBM3"
    assert facts["onnxruntime"][0].isdigit()


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"schema_version": 2}', '{"schema_version": 1, "key": {}}']
)
def test_a_damaged_preference_is_none(board, content):
    remember("d1", "tensorrt", why="", figures={}, root=board)
    (file,) = (cache_dir() / preferences.FOLDER).iterdir()
    file.write_text(content)
    assert preferred("d1", board) is None


def test_a_preference_under_another_s_name_is_none(board):
    remember("d1", "tensorrt", why="", figures={}, root=board)
    (file,) = (cache_dir() / preferences.FOLDER).iterdir()
    fields = json.loads(file.read_text())
    fields["key"]["bundle"] = "d2"
    file.write_text(json.dumps(fields))
    assert preferred("d1", board) is None


def test_a_cache_that_cannot_be_written_is_told(board, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEROBERTA_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert not remember("d1", "tensorrt", why="", figures={}, root=board)
    assert "cannot remember that tensorrt is the engine of choice here" in caplog.text
    assert preferred("d1", board) is None
