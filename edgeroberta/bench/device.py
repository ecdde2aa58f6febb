"""Facts about this machine that belong beside every measurement."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Instruction sets that int8 and bf16 speed depends on, as ``/proc/cpuinfo`` names them.
NOTABLE_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
#: Packages whose version can change a measurement.
PACKAGES = ("edgeroberta", "numpy", "tokenizers", "onnxruntime", "openvino", "torch", "transformers")


@dataclass(frozen=True)
class Device:
    """A machine as a measurement saw it.

    Attributes:
        cpu: Model name of the processor.
        flags: Notable instruction sets it has.
        cores: Processors this process may use.
        memory_bytes: Main memory, 0 when unknown.
        system: Operating system and kernel, and the machine type.
        python: Python version.
        load: One-minute load average when the measurement began; None when unknown. Above zero, other
            programs shared the machine.
        versions: Package name to version, for those installed.
    """

    cpu: str
    flags: tuple[str, ...]
    cores: int
    memory_bytes: int
    system: str
    python: str
    load: float | None
    versions: dict[str, str]

    def describe(self) -> str:
        """Return one line: ``AMD EPYC, 2 cores, avx512_vnni, Linux x86_64, load 0.3``."""
        parts = [self.cpu, f"{self.cores} cores", *self.flags[-3:], self.system]
        if self.load is not None:
            parts.append(f"load {self.load:.1f}")
        return ", ".join(parts)


def here(root: Path = Path("/")) -> Device:
    """Look at the machine this runs on.

    Args:
        root: Where ``proc`` is; tests give a recorded tree.

    Returns:
        What could be found out; nothing here fails.
    """
    cpuinfo = _read(root / "proc/cpuinfo")
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return Device(
        cpu=_cpu_name(cpuinfo, root),
        flags=_flags(cpuinfo),
        cores=cores,
        memory_bytes=_memory(_read(root / "proc/meminfo")),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        load=_load(_read(root / "proc/loadavg")),
        versions=versions(PACKAGES),
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


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _field(text: str, *names: str) -> str | None:
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() in names and value.strip():
            return value.strip()
    return None


def _cpu_name(cpuinfo: str, root: Path) -> str:
    # ARM kernels give no model name; boards name themselves in the device tree.
    board = _read(root / "proc/device-tree/model").rstrip("\0\n")
    return _field(cpuinfo, "model name") or board or platform.processor() or platform.machine()


def _flags(cpuinfo: str) -> tuple[str, ...]:
    present = set((_field(cpuinfo, "flags", "Features") or "").split())
    return tuple(flag for flag in NOTABLE_FLAGS if flag in present)


def _memory(meminfo: str) -> int:
    total = _field(meminfo, "MemTotal")
    return int(total.split()[0]) * 1024 if total else 0


def _load(loadavg: str) -> float | None:
    return float(loadavg.split()[0]) if loadavg else None
