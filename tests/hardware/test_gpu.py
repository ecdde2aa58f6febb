"""The driver's tool stood in for by a script that prints what it prints."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

import pytest

from edgeroberta.hardware import gpu, gpu_energy
from edgeroberta.hardware.gpu import Gpu, GpuSeen, GpuWatch, sum_up


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ``nvidia-smi`` that comes first on the path and says nothing yet."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    file = tmp_path / "nvidia-smi"
    file.write_text("#!/bin/sh\n", encoding="ascii")
    file.chmod(0o755)
    monkeypatch.setattr(gpu_energy, "LIBRARY", "no-such-library.so")
    return file


def test_the_first_gpu_is_told_with_its_driver(tool: Path) -> None:
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.86.15, 1980, 345, 700.00, 143771'\n", encoding="ascii")
    assert gpu.look() == Gpu("NVIDIA H200", "570.86.15", 1980.0, 345.0, 700.0, 143771.0)


def test_what_a_driver_does_not_tell_is_none(tool: Path) -> None:
    tool.write_text("#!/bin/sh\necho 'Orin (nvgpu), 540.4.0, [N/A], [N/A], [N/A], [N/A]'\n", encoding="ascii")
    assert gpu.look() == Gpu("Orin (nvgpu)", "540.4.0", None, None, None, None)


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense", ""])
def test_a_driver_that_fails_tells_of_no_gpu(tool: Path, script: str) -> None:
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    assert gpu.look() is None


def test_no_driver_tells_of_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.look() is None
    with GpuWatch() as watch:
        pass
    assert watch.watched == GpuSeen()


def test_energy_is_mean_power_times_time() -> None:
    found = sum_up("100.0, Not Active, Not Active\n300.0, Not Active, Not Active\n", 2.0)
    assert found == GpuSeen(400.0, False, (), 2)


def test_a_slow_down_in_any_sample_is_told() -> None:
    found = sum_up("100.0, Not Active, Active\n[N/A], Not Active, Not Active\n30", 1.0)
    assert found == GpuSeen(100.0, True, ("sw thermal slowdown",), 1)


def test_a_gpu_is_sampled_while_it_is_watched(tool: Path) -> None:
    tool.write_text(
        "#!/bin/sh\nwhile :; do echo '50.0, Not Active, Not Active'; sleep 0.02; done\n", encoding="ascii"
    )
    with GpuWatch() as watch:
        time.sleep(0.5)
    assert watch.watched.samples >= 2
    assert watch.watched.energy_j == pytest.approx(25, rel=0.5)
    assert watch.watched.throttled is False


class Driver:
    """Stands for the driver's library: a GPU that uses 40 J between two looks at its counter."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.asked: object = None
        self.millijoules = 1_000_000

    def _code(self, name: str) -> int:
        return 3 if name == self.failing else 0

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return self._code("init")

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, device: object) -> int:  # noqa: N802
        self.asked = index.value
        return self._code("handle")

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, device: object) -> int:  # noqa: N802
        self.asked = uuid
        return self._code("handle")

    def nvmlDeviceGetTotalEnergyConsumption(self, device: object, count: Any) -> int:  # noqa: N802
        self.millijoules += 40_000
        count._obj.value = self.millijoules
        return self._code("energy")


@pytest.mark.parametrize(("visible", "asked"), [("2,1", 2), ("GPU-8932f937", b"GPU-8932f937")])
def test_the_drivers_counter_wins_over_samples_of_the_power(
    tool: Path, monkeypatch: pytest.MonkeyPatch, visible: str, asked: object
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    tool.write_text("#!/bin/sh\nwhile :; do echo '50.0, Not Active, Active'; sleep 0.02; done\n")
    driver = Driver()
    monkeypatch.setattr(gpu_energy.ctypes, "CDLL", lambda name: driver)
    with GpuWatch() as watch:
        time.sleep(0.3)
    assert (watch.watched.energy_j, watch.watched.counted) == (40.0, True)
    assert watch.watched.reasons == ("sw thermal slowdown",)
    assert driver.asked == asked


@pytest.mark.parametrize("failing", ["init", "handle", "energy"])
def test_a_gpu_without_a_counter_has_none(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    monkeypatch.setattr(gpu_energy.ctypes, "CDLL", lambda name: Driver(failing))
    assert gpu_energy.Counter.open("0") is None


def test_an_old_driver_has_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_energy.ctypes, "CDLL", lambda name: object())
    assert gpu_energy.Counter.open("0") is None


@pytest.mark.parametrize(
    ("visible", "asked"),
    [
        (None, "0"),
        ("2", "2"),
        ("3,1", "3"),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-8932f937"),
        ("", "none"),
    ],
)
def test_the_gpu_that_is_asked_is_the_first_that_cuda_sees(
    tool: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, asked: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    tool.write_text('#!/bin/sh\necho "$1, 1, 1, 1, 1, 1"\n', encoding="ascii")
    found = gpu.look()
    assert found is not None
    assert found.name.startswith(f"--id={asked}")
    assert "," not in found.name
