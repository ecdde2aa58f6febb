"""Facts about this machine that belong beside every measurement."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.hardware import jetson, sysfs

#: Instruction sets that int8 and bf16 speed depends on, as ``/proc/cpuinfo`` names them.
NOTABLE_FLAGS = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
#: Packages whose version can change a measurement.
PACKAGES = ("edgeroberta", "numpy", "tokenizers", "onnxruntime", "openvino", "torch", "transformers")
#: Names under which pip knows TensorRT; on a Jetson it comes from dpkg.
TENSORRT_DISTRIBUTIONS = ("tensorrt", "tensorrt_cu13", "tensorrt_cu12", "tensorrt_rtx")


@dataclass(frozen=True)
class MachineFacts:
    """A machine as a measurement saw it."""

    cpu: str  # model name of the processor
    flags: tuple[str, ...]  # notable instruction sets it has
    cores: int  # processors this process may use
    memory_bytes: int  # main memory, 0 when unknown
    system: str  # operating system and kernel, and the machine type
    python: str  # Python version
    #: one-minute load average when the measurement began; None when unknown. Above zero, other programs
    #: shared the machine.
    load: float | None
    versions: dict[str, str]  # package name to version, for those installed
    board: str | None = None  # model of the board or PC; None when unknown, as in files of version 0.1
    soc: str | None = None  # ``tegra234``, ``bcm2712``; None elsewhere
    l4t: str | None = None  # Jetson Linux release
    jetpack: str | None = None  # JetPack of that release
    cuda: str | None = None  # CUDA toolkit
    tensorrt: str | None = None  # TensorRT

    def describe(self) -> str:
        """Return one line: ``AMD EPYC, 2 cores, avx512_vnni, Linux x86_64, load 0.3``."""
        parts = [self.cpu, f"{self.cores} cores", *self.flags[-3:], self.system]
        if self.l4t:
            parts.append(f"JetPack {self.jetpack}" if self.jetpack else f"L4T {self.l4t}")
        if self.load is not None:
            parts.append(f"load {self.load:.1f}")
        return ", ".join(parts)


def machine_facts(root: Path = Path("/")) -> MachineFacts:
    """Look at the machine this runs on. Returns what could be found out; nothing here fails."""
    cpuinfo = sysfs.text(root / "proc/cpuinfo")
    board = jetson.board(root)
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return MachineFacts(
        cpu=_cpu_name(cpuinfo, root),
        flags=_flags(cpuinfo),
        cores=cores,
        memory_bytes=memory(root, "MemTotal") or 0,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        load=load(root),
        versions=versions(PACKAGES),
        board=board.model,
        soc=board.soc,
        l4t=board.l4t,
        jetpack=board.jetpack,
        cuda=board.cuda,
        tensorrt=board.tensorrt or _pip_tensorrt(root),
    )


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed, without importing them."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def memory(root: Path, name: str) -> int | None:
    """Return a field of ``/proc/meminfo`` in bytes, None when it is missing or no number."""
    words = (sysfs.field(sysfs.text(root / "proc/meminfo"), name) or "").split()
    kilobytes = sysfs.whole(words[0]) if words else None
    return kilobytes * 1024 if kilobytes is not None and kilobytes >= 0 else None


def load(root: Path) -> float | None:
    """Return the one-minute load average, None when unknown."""
    words = (sysfs.text(root / "proc/loadavg") or "").split()
    found = sysfs.decimal(words[0]) if words else None
    return found if found is not None and found >= 0 else None


def _cpu_name(cpuinfo: str | None, root: Path) -> str:
    # ARM kernels give no model name; boards name themselves in the device tree.
    board = sysfs.text(root / "proc/device-tree/model")
    return sysfs.field(cpuinfo, "model name") or board or platform.processor() or platform.machine()


def _flags(cpuinfo: str | None) -> tuple[str, ...]:
    present = set((sysfs.field(cpuinfo, "flags", "Features") or "").split())
    return tuple(flag for flag in NOTABLE_FLAGS if flag in present)


def _pip_tensorrt(root: Path) -> str | None:
    # A tree that stands for another machine says nothing about this one's packages.
    installed = versions(TENSORRT_DISTRIBUTIONS) if root == Path("/") else {}
    return next(iter(installed.values()), None)
