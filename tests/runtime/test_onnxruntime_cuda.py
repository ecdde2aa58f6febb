"""ONNX Runtime with CUDA, by a stand-in with its API (1.32); no test here needs a GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime import onnxruntime_cuda, session
from edgeroberta.runtime.lengths import Lengths

LENGTHS = Lengths((512,), ())
IDS = np.array([[0, 5, 2]])


class OrtValue:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @classmethod
    def ortvalue_from_numpy(cls, values: np.ndarray, device: str, number: int) -> OrtValue:
        assert (device, number) == ("cuda", 0)
        assert values.flags["C_CONTIGUOUS"]
        return cls(values)


class Binding:
    def __init__(self) -> None:
        self.inputs: dict[str, np.ndarray] = {}
        self.asked: list[str] = []

    def bind_ortvalue_input(self, name: str, value: OrtValue) -> None:
        self.inputs[name] = value.values

    def bind_output(self, name: str, device: str, number: int) -> None:
        assert (name, device, number) == ("logits", "cuda", 0)

    def synchronize_inputs(self) -> None:
        self.asked.append("inputs")

    def synchronize_outputs(self) -> None:
        self.asked.append("outputs")

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        assert self.asked == ["inputs", "run", "outputs"]
        return [answer(self.inputs["input_ids"])]


def answer(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids.sum(1), ids.max(1)], 1).astype(np.float16)


def fake(*, available: bool = True, starts: bool = True, fails: str = "") -> Any:
    """Make a module; like the real one it continues with the CPU where CUDA does not start."""

    class InferenceSession:
        def __init__(self, path: str, options: Any, providers: list[str]) -> None:
            assert providers == ["CUDAExecutionProvider"]
            if fails == "open":
                raise RuntimeError("bad graph")
            assert Path(path).name == "model_fp16.onnx"

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"] if starts else ["CPUExecutionProvider"]

        def get_outputs(self) -> list[Any]:
            return [SimpleNamespace(name="logits", shape=["batch", 2])]

        def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            if fails == "run":
                raise RuntimeError("out of memory")
            return [answer(feed["input_ids"])]

        def io_binding(self) -> Binding:
            if fails == "run":
                raise RuntimeError("out of memory")
            return Binding()

        def run_with_iobinding(self, binding: Binding) -> None:
            binding.asked.append("run")

    providers = ["CUDAExecutionProvider"] * available + ["CPUExecutionProvider"]
    return SimpleNamespace(
        __version__="1.32.0",
        SessionOptions=SimpleNamespace,
        InferenceSession=InferenceSession,
        OrtValue=OrtValue,
        get_available_providers=lambda: providers,
    )


def opened(monkeypatch: pytest.MonkeyPatch, folder: Path, **how: Any) -> session.Session:
    monkeypatch.setitem(sys.modules, "onnxruntime", fake(**how))
    return session.open_session("onnxruntime-cuda", folder, threads=1, lengths=LENGTHS)


def test_it_runs_the_float16_graph_and_answers_in_float32(monkeypatch, tmp_path):
    found = opened(monkeypatch, tmp_path)
    logits = found.run(IDS, np.ones_like(IDS))
    np.testing.assert_array_equal(logits, [[7, 5]])
    assert logits.dtype == np.float32
    assert (found.name, found.version, found.padded_length(77)) == ("onnxruntime-cuda", "1.32.0", 77)


def test_the_gpu_s_own_time_leaves_the_copies_out(monkeypatch, tmp_path):
    found: Any = opened(monkeypatch, tmp_path)
    logits, seconds = found.run_timed(np.asfortranarray(np.repeat(IDS, 2, 0)), np.ones((2, 3), np.int64))
    np.testing.assert_array_equal(logits, [[7, 5], [7, 5]])
    assert logits.dtype == np.float32
    assert 0 <= seconds < 1


def test_a_package_without_cuda_is_told_with_the_one_that_has_it(monkeypatch, tmp_path):
    with pytest.raises(UnavailableError) as caught:
        opened(monkeypatch, tmp_path, available=False)
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        "the engine onnxruntime-cuda needs onnxruntime-cuda, which is not installed\n"
        "  next: pip uninstall onnxruntime; pip install onnxruntime-gpu"
    )


def test_a_session_that_fell_back_to_the_cpu_is_refused(monkeypatch, tmp_path):
    with pytest.raises(UnavailableError) as caught:
        opened(monkeypatch, tmp_path, starts=False)
    assert caught.value.exit_code == 4
    assert caught.value.what == (
        "ONNX Runtime 1.32.0 could not start CUDA and would run on CPUExecutionProvider instead"
    )


def test_no_onnxruntime_at_all_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnavailableError, match="not installed"):
        session.open_session("onnxruntime-cuda", tmp_path, threads=1, lengths=LENGTHS)


def test_failures_of_the_engine_are_engine_errors(monkeypatch, tmp_path):
    with pytest.raises(EngineError, match="refuses the graph: bad graph"):
        opened(monkeypatch, tmp_path, fails="open")
    found: Any = opened(monkeypatch, tmp_path, fails="run")
    for call in (found.run, found.run_timed):
        with pytest.raises(EngineError, match="ONNX Runtime failed: out of memory"):
            call(IDS, np.ones_like(IDS))


@pytest.mark.parametrize("library", ["libonnxruntime_providers_cuda.so", "onnxruntime_providers_cuda.dll"])
def test_the_engine_is_there_when_the_package_carries_its_library(monkeypatch, tmp_path, library):
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    (tmp_path / "capi").mkdir()
    assert session.installed("onnxruntime")
    assert not session.installed("onnxruntime-cuda")
    (tmp_path / "capi" / library).write_bytes(b"")
    assert session.installed("onnxruntime-cuda")


def test_a_bundle_for_gpus_runs_on_the_cpu_of_a_machine_without_that_library(monkeypatch):
    monkeypatch.setattr(session, "installed", {"onnxruntime"}.__contains__)
    assert session.choose_engine(None, ("onnxruntime-cuda", "onnxruntime")) == "onnxruntime"
    with pytest.raises(UnavailableError) as caught:
        session.choose_engine("onnxruntime-cuda", ("onnxruntime-cuda", "onnxruntime"))
    assert caught.value.hint == "pip uninstall onnxruntime; pip install onnxruntime-gpu"


def test_the_names_that_it_calls_are_those_of_onnx_runtime():
    """The stand-in must not have what the real package lacks."""
    import onnxruntime

    for owner, names in (
        (onnxruntime.InferenceSession, ("get_providers", "io_binding", "run_with_iobinding", "run")),
        (onnxruntime.OrtValue, ("ortvalue_from_numpy",)),
        (onnxruntime.IOBinding, [name for name in vars(Binding) if not name.startswith("__")]),
    ):
        assert [name for name in names if not hasattr(owner, name)] == []
    assert onnxruntime_cuda.PROVIDER in onnxruntime.capi.onnxruntime_pybind11_state.get_all_providers()
