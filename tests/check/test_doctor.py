"""The doctor: every engine runs the graph, and a bad engine is said, not raised."""

from __future__ import annotations

import json
import sys

import doctor_graph
import numpy as np
import pytest
from fake_tensorrt import FakeTensorRt

from edgeroberta.check import doctor
from edgeroberta.cli import main
from edgeroberta.hardware import read_state
from edgeroberta.runtime import driver
from edgeroberta.runtime.session import ENGINES


def test_every_installed_engine_gives_the_right_answer():
    diagnosis = doctor.examine()
    assert [check.engine for check in diagnosis.engines] == list(ENGINES)
    assert {check.status for check in diagnosis.engines} <= {"ok", "missing"}
    assert diagnosis.usable
    for check in diagnosis.engines:
        assert (check.version is not None) == (check.status == "ok")


def test_the_expected_answer_follows_from_the_graph_s_numbers():
    random = np.random.default_rng(0)
    table = random.integers(-8, 8, (doctor_graph.ROWS, doctor_graph.WIDTH))
    weight = random.integers(-8, 8, (doctor_graph.WIDTH, doctor_graph.LABELS))
    summed = np.clip(table[list(doctor._IDS)].sum(axis=0), -128, 127)
    assert (summed @ weight * doctor_graph.SCALE**2).tolist() == list(doctor.EXPECTED)


def test_the_graph_in_the_tree_is_the_one_that_its_script_makes():
    for name, make in doctor_graph.GRAPHS.items():
        assert (doctor.GRAPH / name).read_bytes() == make().SerializeToString(deterministic=True)


def test_the_graph_is_there_for_every_engine():
    for engine in ENGINES.values():
        for file in engine.files:
            assert (doctor.GRAPH / file).is_file()


def test_an_engine_that_is_not_installed_is_missing_with_its_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    check = doctor.check_engine("onnxruntime", doctor.GRAPH)
    assert (check.status, check.version) == ("missing", None)
    assert check.detail == "pip install 'edgeroberta[onnxruntime]'"


@pytest.mark.parametrize("engine", ["tensorrt", "tensorrt-fp16"])
def test_tensorrt_really_builds_and_runs_the_graph(engine):
    with FakeTensorRt().installed() as fake:
        check = doctor.check_engine(engine, doctor.GRAPH)
        assert (check.status, check.version, check.detail) == ("ok", "10.3.0", "")
        assert len(fake.builds) == 1
        assert fake.gpu.alive == 0


def test_a_machine_without_a_gpu_is_told_that_and_not_to_install_something(monkeypatch):
    FakeTensorRt().install(monkeypatch)
    monkeypatch.setattr(driver, "driver_version", lambda: None)
    check = doctor.check_engine("tensorrt", doctor.GRAPH)
    assert check.status == "missing"
    assert check.detail.startswith("there is no NVIDIA driver on this machine")


def test_an_engine_that_computes_something_else_is_wrong(monkeypatch):
    monkeypatch.setattr(doctor, "EXPECTED", (1.0, 2.0))
    check = doctor.check_engine("onnxruntime", doctor.GRAPH)
    assert check.status == "wrong"
    assert check.detail == "gave [0.4609, 0.5938], not [1.0, 2.0]: do not trust it on this processor"


def test_an_engine_that_refuses_the_graph_has_failed(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    check = doctor.check_engine("onnxruntime", tmp_path)
    assert check.status == "failed"
    assert "refuses the graph" in check.detail
    assert "\n" not in check.detail


def test_a_library_that_does_not_load_has_failed(monkeypatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(doctor, "open_session", refuse)
    diagnosis = doctor.examine()
    assert {check.status for check in diagnosis.engines} == {"failed"}
    assert not diagnosis.usable
    assert diagnosis.engines[0].detail == "libgomp.so.1: cannot open shared object file"


def test_the_state_of_the_device_is_part_of_the_findings(device_tree, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "read_state", lambda: read_state(device_tree("orin-nano")))
    with pytest.raises(SystemExit, match="0"):
        main(["doctor"])
    said = capsys.readouterr().out
    for word in ("power mode     25W", "warning: ", "sudo jetson_clocks"):
        assert word in said
    with pytest.raises(SystemExit, match="0"):
        main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)["state"]
    assert found["energy_rails"] == ["VDD_IN"]
    assert found["warnings"][0].endswith("sudo nvpmodel -m 2")


@pytest.mark.parametrize(("saturates", "said"), [(True, True), (False, False), (None, False)])
def test_a_processor_whose_int8_saturates_is_told(monkeypatch, saturates, said):
    from edgeroberta.report import devices
    from edgeroberta.runtime import processor

    monkeypatch.setattr(processor, "saturates", lambda: saturates)
    monkeypatch.setattr(doctor, "ENGINES", {})
    diagnosis = doctor.examine()
    assert diagnosis.to_json()["int8_saturates"] is saturates
    assert ("without VNNI: products of two can saturate" in devices.of_doctor(diagnosis)) == said
