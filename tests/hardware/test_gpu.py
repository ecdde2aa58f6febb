"""NVML's binding stood in for by a module that answers as it does; no GPU is asked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from edgeroberta.hardware import gpu
from edgeroberta.hardware.gpu import GpuMonitor, GpuTelemetry, NvidiaGpu


class NVMLError(Exception):
    """What the binding raises, also for a function that an old driver does not have."""


#: What an H200 tells; a function is called anew each time.
H200: dict[str, Any] = {
    "Name": "NVIDIA H200",
    "MaxClockInfo": 1980,
    "ClockInfo": 345,
    "EnforcedPowerLimit": 700_000,
    "MemoryInfo": SimpleNamespace(total=143_771 << 20),
    "Temperature": 41,
    "UtilizationRates": SimpleNamespace(gpu=25, memory=3),
    "TotalEnergyConsumption": None,
    "PowerUsage": 50_000,
    "CurrentClocksThrottleReasons": 0x04,
}


class Driver:
    """Stands for the module ``pynvml``."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.asked: object = None
        self.millijoules = 1_000_000

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.told:
            raise NVMLError("NVML Shared Library Not Found")

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "570.86.15"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        self.asked = index
        return "handle"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked = uuid
        if not uuid.startswith("GPU-"):
            raise NVMLError("Not Found")
        return "handle"

    def counted(self) -> int:
        """A board that uses 40 J between two looks at its counter."""
        self.millijoules += 40_000
        return self.millijoules

    def __getattr__(self, name: str) -> Callable[..., Any]:
        value = self.told.get(name.removeprefix("nvmlDeviceGet"), AttributeError)
        if value is AttributeError:
            raise AttributeError(name)

        def ask(handle: str, *more: int) -> Any:
            assert handle == "handle"
            if value is None:
                raise NVMLError("Not Supported")
            return value() if callable(value) else value

        return ask


@pytest.fixture
def nvml(monkeypatch) -> Callable[..., Driver]:
    """Puts a driver in place: an H200 without an energy counter, but for what is given."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def make(told: dict[str, Any] = H200, **changes: Any) -> Driver:
        driver = Driver({**told, **changes})
        monkeypatch.setitem(sys.modules, "pynvml", driver)
        return driver

    return make


def watch() -> GpuTelemetry:
    with GpuMonitor() as watching:
        pass
    return watching.watched


def test_the_first_gpu_is_told_with_its_driver(nvml):
    nvml()
    assert gpu.look() == NvidiaGpu("NVIDIA H200", "570.86.15", 1980, 345, 700.0, 143_771.0, 41, 0.25)


@pytest.mark.parametrize("told", [{}, dict.fromkeys(H200)], ids=["an older driver", "not supported"])
def test_what_a_driver_does_not_tell_is_none(nvml, told):
    nvml({**told, "Name": "Orin (nvgpu)"})
    assert gpu.look() == NvidiaGpu("Orin (nvgpu)", "570.86.15", None, None, None, None)
    assert watch() == GpuTelemetry()


def test_no_driver_tells_of_no_gpu(nvml):
    nvml({})
    assert gpu.look() is None
    assert watch() == GpuTelemetry()


def test_without_the_binding_it_is_said_once_what_is_not_measured(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    gpu._say_what_is_missing.cache_clear()
    assert gpu.look() is None
    assert watch() == GpuTelemetry()
    (record,) = caplog.records
    assert "energy, clocks and throttling are not measured" in record.getMessage()


def test_energy_is_what_the_drivers_counter_says(nvml):
    driver = nvml()
    driver.told["TotalEnergyConsumption"] = driver.counted
    assert watch() == GpuTelemetry(energy_j=40.0, throttled=False, counted=True)


@pytest.mark.parametrize("counter", [None, 1_000_000], ids=["none", "one that did not move"])
def test_without_a_counter_energy_is_mean_power_times_time(nvml, monkeypatch, counter):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: next(clock))
    nvml(TotalEnergyConsumption=counter)
    assert watch() == GpuTelemetry(energy_j=100.0, throttled=False, counted=False)


def test_neither_counter_nor_power_is_no_energy(nvml):
    nvml(PowerUsage=None)
    assert watch() == GpuTelemetry(energy_j=None, throttled=False)


def test_a_slow_down_in_any_sample_is_told(nvml, monkeypatch):
    monkeypatch.setattr(gpu, "EVERY_S", 0.001)
    looks, all_seen = iter([0x01, 0x20, 0x48]), threading.Event()
    nvml(CurrentClocksThrottleReasons=lambda: next(looks, None) or all_seen.set() or 0)
    with GpuMonitor() as watching:
        assert all_seen.wait(10)
    assert watching.watched.reasons == ("hw slowdown", "sw thermal slowdown")
    assert watching.watched.throttled is True


@pytest.mark.parametrize(
    ("visible", "asked"),
    [
        ("2", 2),
        ("3,1", 3),
        ("GPU-8932f937-d72c", "GPU-8932f937-d72c"),
        ("", ""),
        ("4294967296", "4294967296"),
    ],
)
def test_the_gpu_that_is_asked_is_the_first_that_cuda_sees(nvml, monkeypatch, visible, asked):
    driver = nvml()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert (gpu.look() is not None) is (visible not in ("", "4294967296"))
    assert driver.asked == asked
