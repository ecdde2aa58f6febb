"""The CUDA bindings: which are found, what is told without them, and that no error is overlooked."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from fake_cuda import Error, FakeCuda

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime import driver
from edgeroberta.runtime.tensorrt import cuda


def test_the_older_name_of_the_bindings_is_found_as_well(fake, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    monkeypatch.setitem(sys.modules, "cuda.cudart", fake.gpu.module)
    assert cuda.load().gpu().name == "Orin"


@pytest.mark.parametrize(
    ("version", "line"),
    [((12, 6), "pip install 'cuda-python>=12,<12.7'"), ((13, 2), "pip install 'cuda-python>=13,<13.3'")],
)
def test_without_the_bindings_the_pip_line_fits_the_driver(fake, monkeypatch, version, line):
    monkeypatch.setattr(driver, "driver_version", lambda: version)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(UnavailableError) as caught:
        cuda.load()
    assert caught.value.hint == line
    assert caught.value.exit_code == 4


def test_no_driver_is_told_before_anything_is_to_be_installed(fake, monkeypatch):
    monkeypatch.setattr(driver, "driver_version", lambda: None)
    with pytest.raises(UnavailableError) as caught:
        cuda.load()
    assert "there is no NVIDIA driver on this machine" in caught.value.what
    assert "pip" not in caught.value.hint


def test_the_driver_s_version_is_asked_of_the_driver(monkeypatch):
    def answer(pointer):
        pointer._obj.value = 12060
        return 0

    class Library:
        cuDriverGetVersion = staticmethod(answer)  # noqa: N815

    monkeypatch.setattr(driver.ctypes, "CDLL", lambda name: Library)
    assert driver.driver_version() == (12, 6)
    Library.cuDriverGetVersion = staticmethod(lambda pointer: 3)
    assert driver.driver_version() is None

    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(driver.ctypes, "CDLL", missing)
    assert driver.driver_version() is None


def test_a_machine_whose_gpu_does_not_answer_is_unavailable(fake):
    fake.gpu.fails["cudaGetDeviceCount"] = Error.cudaErrorNoDevice
    with pytest.raises(UnavailableError, match=r"there is no usable NVIDIA GPU \(CUDA: cudaGetDeviceCount"):
        cuda.load()
    del fake.gpu.fails["cudaGetDeviceCount"]
    fake.gpu.devices = 0
    with pytest.raises(UnavailableError, match="there is no NVIDIA GPU on this machine") as caught:
        cuda.load()
    assert caught.value.hint == "check CUDA_VISIBLE_DEVICES"


def test_bindings_that_cannot_load_the_driver_give_an_engine_error(fake):
    def refuse():
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    found = cuda.load()
    found.runtime.cudaGetDevice = refuse
    with pytest.raises(EngineError, match=r"CUDA: cudaGetDevice failed: Failed to dlopen libcuda\.so\.1"):
        found.gpu()


def test_the_gpu_s_facts_are_read():
    found = cuda.Cuda(FakeCuda(name="NVIDIA H100", sm=(9, 0), free=3 << 30, integrated=False).module)
    assert found.gpu() == cuda.CudaDevice("NVIDIA H100", "9.0", 8 << 30, False)
    assert found.free_bytes() == 3 << 30


def test_a_buffer_copies_both_ways_and_is_freed_once():
    fake = FakeCuda()
    found = cuda.Cuda(fake.module)
    stream = found.stream()
    buffer = cuda.Buffer(found, 512)
    view = buffer.view((2, 3), np.int64, 256)
    assert (view == 0).all()
    view[:] = 7
    buffer.to_device(512, stream)
    found.call("cudaStreamSynchronize", stream)
    view[:] = 0
    buffer.to_host(512, stream)
    assert (view == 0).all()  # nothing is there before somebody waits
    found.call("cudaStreamSynchronize", stream)
    assert (view == 7).all()
    del view
    buffer.close()
    buffer.close()
    assert len(fake.memory) == 0


def test_sizes_are_aligned_to_what_tensors_need():
    assert [cuda.aligned(size) for size in (0, 1, 256, 257)] == [0, 256, 256, 512]
