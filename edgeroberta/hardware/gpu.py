"""What NVML tells of the first GPU that CUDA sees: facts, energy and throttling.

The driver brings NVML, the package nvidia-ml-py its Python binding; where one is missing, or the GPU does not
tell, it is None and not a guess. Written by NVIDIA's documentation; an H200 has told facts and energy, and no
GPU has told of throttling yet.
https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

#: Seconds between two looks at what throttles the GPU.
EVERY_S = 0.1
#: Reasons that make a GPU slower than it is, bits of NVML's ``nvmlClocksEventReasons``. The power cap is not
#: one: every long run on a server meets it.
THROTTLING = {0x08: "hw slowdown", 0x20: "sw thermal slowdown"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NvidiaGpu:
    """A GPU: the clocks are its multiprocessors', the memory is in MiB, the utilization a share."""

    name: str
    driver: str
    max_sm_mhz: float | None
    sm_mhz: float | None
    power_limit_w: float | None
    memory_mb: float | None
    temperature_c: float | None = None
    utilization: float | None = None


@dataclass(frozen=True)
class GpuTelemetry:
    """What a GPU did during a repetition."""

    #: joules of the GPU's board; None when the driver told neither its energy nor its power
    energy_j: float | None = None
    throttled: bool | None = None  # True when it slowed itself down; None when the driver did not tell
    reasons: tuple[str, ...] = ()  # why
    #: True when the energy is the difference of the driver's counter, which GPUs since Volta have; False when
    #: it is mean power times time, where a sample is itself a mean over up to a second
    counted: bool = False


class _Device:
    """A GPU behind NVML's binding."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self.nvml = nvml
        self.handle = handle
        self.driver: str = nvml.nvmlSystemGetDriverVersion()

    def ask(self, what: str, *more: Any) -> Any:
        """Call ``nvmlDeviceGet`` + ``what``; None where GPU, driver or binding do not have it."""
        try:
            return getattr(self.nvml, f"nvmlDeviceGet{what}")(self.handle, *more)
        except (self.nvml.NVMLError, AttributeError):
            return None


def look() -> NvidiaGpu | None:
    """Return the facts of the first GPU that CUDA sees; None where nothing tells of one."""
    if (device := _open()) is None or (name := device.ask("Name")) is None:
        return None
    clock, sensor = device.nvml.NVML_CLOCK_SM, device.nvml.NVML_TEMPERATURE_GPU
    limit, memory, load = (
        device.ask(what) for what in ("EnforcedPowerLimit", "MemoryInfo", "UtilizationRates")
    )
    return NvidiaGpu(
        name=name,
        driver=device.driver,
        max_sm_mhz=device.ask("MaxClockInfo", clock),
        sm_mhz=device.ask("ClockInfo", clock),
        power_limit_w=None if limit is None else limit / 1000,
        memory_mb=None if memory is None else memory.total / 2**20,
        temperature_c=device.ask("Temperature", sensor),
        utilization=None if load is None else load.gpu / 100,
    )


class GpuMonitor:
    """Watches the first GPU from ``with`` to its end; ``watched`` is what was seen, once it has ended."""

    def __init__(self) -> None:
        self.watched = GpuTelemetry()
        self._device = _open()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, args=(self._device,), daemon=True)
        self._watts: list[float] = []
        self._reasons: list[int] = []

    def __enter__(self) -> GpuMonitor:
        """Begin to watch."""
        if self._device is not None:
            self._before = self._device.ask("TotalEnergyConsumption")
            self._started = time.perf_counter()
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End it and sum up."""
        if self._device is None:
            return
        seconds, after = time.perf_counter() - self._started, self._device.ask("TotalEnergyConsumption")
        self._ended.set()
        self._thread.join()
        reasons = functools.reduce(int.__or__, self._reasons, 0)
        energy = sum(self._watts) / len(self._watts) * seconds if self._watts else None
        # A counter that did not move was not read anew in so short a time.
        if counted := None not in (self._before, after) and after > self._before:
            energy = (after - self._before) / 1000
        self.watched = GpuTelemetry(
            energy_j=energy,
            throttled=any(reasons & bit for bit in THROTTLING) if self._reasons else None,
            reasons=tuple(name for bit, name in THROTTLING.items() if reasons & bit),
            counted=counted,
        )

    def _sample(self, device: _Device) -> None:
        while True:
            if (milliwatts := device.ask("PowerUsage")) is not None:
                self._watts.append(milliwatts / 1000)
            if (reasons := device.ask("CurrentClocksThrottleReasons")) is not None:
                self._reasons.append(reasons)
            if self._ended.wait(EVERY_S):
                return


def _open() -> _Device | None:
    """Find the GPU that CUDA calls its first: an index or a UUID, which NVML takes, too.

    An index is NVML's where all GPUs are alike, or ``CUDA_DEVICE_ORDER`` is ``PCI_BUS_ID``; else CUDA counts
    the fastest one first. Nothing, or what is none, hides all GPUs from CUDA: so it does from here.
    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars
    """
    try:
        import pynvml
    except ImportError:
        _say_what_is_missing()
        return None
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    try:
        pynvml.nvmlInit()
        if first.isascii() and first.isdecimal() and len(first) < 6:  # it becomes a C integer
            return _Device(pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(first)))
        return _Device(pynvml, pynvml.nvmlDeviceGetHandleByUUID(first))
    except pynvml.NVMLError:
        return None


@functools.cache
def _say_what_is_missing() -> None:
    logger.warning(
        "the GPU's energy, clocks and throttling are not measured: nvidia-ml-py is not installed "
        "(pip install nvidia-ml-py)"
    )
