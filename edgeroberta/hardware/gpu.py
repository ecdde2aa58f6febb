"""What ``nvidia-smi`` tells of the GPU: facts, power and slow-downs; the driver brings it, pip need not."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO

from edgeroberta.hardware import gpu_energy

#: Milliseconds between samples of the power, which the driver itself averages over about as long.
EVERY_MS = 100
#: Longest wait for an answer, in seconds; the driver may have to start first.
TIMEOUT = 20.0
FACTS = ("name", "driver_version", "clocks.max.sm", "clocks.sm", "power.limit", "memory.total")
#: Reasons that make a GPU slower than it is. The power cap is not one: every long run on a server meets it.
SLOW = ("hw_slowdown", "sw_thermal_slowdown")
SAMPLED = ("power.draw", *(f"clocks_throttle_reasons.{reason}" for reason in SLOW))


@dataclass(frozen=True)
class Gpu:
    """The first GPU that CUDA sees; what the driver does not tell is None.

    Attributes:
        name: Its name.
        driver: Version of the driver.
        max_sm_mhz: Highest clock of its multiprocessors.
        sm_mhz: Their clock now.
        power_limit_w: Power it may draw.
        memory_mb: Its memory, in MiB.
    """

    name: str
    driver: str
    max_sm_mhz: float | None
    sm_mhz: float | None
    power_limit_w: float | None
    memory_mb: float | None


def look() -> Gpu | None:
    """Ask the driver for the first GPU that CUDA sees; None where there is no driver or no GPU."""
    try:
        done = subprocess.run(
            _command(FACTS), capture_output=True, text=True, timeout=TIMEOUT, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    words = [word.strip() for word in done.stdout.partition("\n")[0].split(",")]
    if len(words) != len(FACTS):
        return None
    return Gpu(words[0], words[1], *(_number(word) for word in words[2:]))


@dataclass(frozen=True)
class GpuSeen:
    """What a GPU did during a turn.

    Attributes:
        energy_j: Joules of the GPU's board; None when the driver told neither its energy nor its power.
        counted: True when that is the difference of the driver's counter; False when it is mean power times
            time, and the driver's samples are themselves means over up to a second.
        throttled: True when it slowed itself down; None when the driver did not tell.
        reasons: Why.
        samples: Readings of the power.
    """

    energy_j: float | None = None
    throttled: bool | None = None
    reasons: tuple[str, ...] = ()
    samples: int = 0
    counted: bool = False


class GpuWatch:
    """Samples the first GPU from ``with`` to its end.

    Attributes:
        watched: What was seen, once it has ended.
    """

    def __init__(self) -> None:
        self.watched = GpuSeen()
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._started = 0.0
        self._counter = gpu_energy.Counter.open(_first())
        self._before: int | None = None

    def __enter__(self) -> GpuWatch:
        """Begin to sample."""
        # A file and not a pipe: a pipe that nobody reads stops the sampler when it is full.
        self._output = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [*_command(SAMPLED), "-lms", str(EVERY_MS)], stdout=self._output, stderr=subprocess.DEVNULL
            )
        except OSError:
            self._process = None
        self._before = self._counter.millijoules() if self._counter is not None else None
        self._started = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        """End it and sum up."""
        seconds = time.perf_counter() - self._started
        after = self._counter.millijoules() if self._counter is not None else None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._output is not None:
            self._output.seek(0)
            self.watched = sum_up(self._output.read().decode("utf-8", "replace"), seconds)
            self._output.close()
        if self._before is not None and after is not None and after > self._before:
            self.watched = replace(self.watched, energy_j=(after - self._before) / 1000, counted=True)


def sum_up(lines: str, seconds: float) -> GpuSeen:
    """Read the samples.

    Args:
        lines: What ``nvidia-smi`` printed: a line per sample, watts and then the reasons.
        seconds: How long it sampled.

    Returns:
        The energy as mean power times seconds, and the reasons that were active in any sample.
    """
    watts: list[float] = []
    reasons: set[str] = set()
    told = False
    for line in lines.splitlines():
        power, *states = [word.strip() for word in line.split(",")]
        if len(states) != len(SLOW):
            continue
        if (number := _number(power)) is not None:
            watts.append(number)
        told = told or any(state in ("Active", "Not Active") for state in states)
        reasons |= {reason for reason, state in zip(SLOW, states, strict=True) if state == "Active"}
    return GpuSeen(
        energy_j=sum(watts) / len(watts) * seconds if watts else None,
        throttled=bool(reasons) if told else None,
        reasons=tuple(sorted(reason.replace("_", " ") for reason in reasons)),
        samples=len(watts),
    )


def _command(fields: Sequence[str]) -> list[str]:
    return [
        "nvidia-smi",
        f"--id={_first()}",
        f"--query-gpu={','.join(fields)}",
        "--format=csv,noheader,nounits",
    ]


def _first() -> str:
    """Return the GPU that CUDA calls its first: an index or a UUID, which the driver's tool takes, too.

    An index is the tool's where all GPUs are alike, or ``CUDA_DEVICE_ORDER`` is ``PCI_BUS_ID``; else CUDA
    counts the fastest one first. Nothing, or what is none, hides all GPUs from CUDA: so it does from here.
    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars
    """
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip() or "none"


def _number(word: str) -> float | None:
    """``[N/A]`` and ``[Not Supported]`` are what drivers say instead of a number."""
    try:
        return float(word)
    except ValueError:
        return None
