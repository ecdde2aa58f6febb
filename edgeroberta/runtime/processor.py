"""The processor and the GPUs this runs on, and which bundles saturate on it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.runtime.manifest import MANIFEST_FILE
from edgeroberta.storage import jsontext

if TYPE_CHECKING:
    from edgeroberta.runtime.manifest import Manifest

#: Instruction sets whose int8 products add up in an int32, as ``/proc/cpuinfo`` names them. Without one
#: of them, x86 kernels add pairs of products in an int16, which saturates (``vpmaddubsw``).
EXACT = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8")


def text(file: Path) -> str:
    """Return what a file of the system holds; empty where there is no such file (macOS, Windows)."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def cpuinfo(root: Path = Path("/")) -> str:
    """Return the text of ``/proc/cpuinfo``."""
    return text(root / "proc/cpuinfo")


def gpus(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the models that NVIDIA's driver names; a Jetson's driver names none, its board does."""
    lines = [
        line.partition(":")
        for file in sorted(root.glob("proc/driver/nvidia/gpus/*/information"))
        for line in text(file).splitlines()
    ]
    return tuple(value.strip() for key, _, value in lines if key.strip() == "Model" and value.strip())


def field(text: str, *names: str) -> str | None:
    """Return the first value that ``/proc/cpuinfo`` has under one of ``names``, None without one."""
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() in names and value.strip():
            return value.strip()
    return None


def identity(root: Path = Path("/")) -> str:
    """Return what tells processors apart, since a cache may be shared by machines that differ in it."""
    text = cpuinfo(root)
    if not text:
        return platform.processor()
    # x86 names the model; ARM gives implementer, part and revision numbers instead.
    names = ("model name", "CPU implementer", "CPU part", "CPU revision")
    return "\n".join(sorted({line for line in text.splitlines() if line.startswith(names)}))


def saturates(root: Path = Path("/")) -> bool | None:
    """Tell whether int8 products can saturate an int16 here: x86 without VNNI and AMX; None where unknown."""
    text = cpuinfo(root)
    flags = field(text, "flags")  # x86; ARM says "Features"
    if flags is not None:
        return not set(flags.split()) & set(EXACT)
    return False if field(text, "Features") is not None else None


_WHY = "int8 products saturate on this processor (x86 without VNNI), and this bundle's weights allow it"
_UNKNOWN = (
    "int8 products saturate on this processor (x86 without VNNI), and this bundle does not say whether its "
    "weights allow it"
)
_MORE = "make the bundle for it with: edgeroberta compress MODEL --data DATA --target cpu-avx2"

#: Engine name to what happens on it then; engines that are absent do not run on the processor.
_CONSEQUENCES = {
    "onnxruntime": "ONNX Runtime computes it with its exact kernels, which are slower",
    "openvino": "OpenVINO's answers can be wrong",
}


def advise(manifest: Manifest, engine: str, root: Path = Path("/")) -> str | None:
    """Say what saturation does to a bundle on this machine, and what helps; None where nothing can."""
    if manifest.precision != "int8" or engine not in _CONSEQUENCES or not saturates(root):
        return None
    if manifest.saturation is None:
        return f"{_UNKNOWN}: {_CONSEQUENCES[engine]}; {_MORE}"
    if manifest.saturation.safe:
        return None
    return f"{_WHY}: {_CONSEQUENCES[engine]}; {_MORE}"


def declared_safe(folder: Path) -> bool:
    """Tell whether a folder's manifest says that no int8 weight can saturate; False where it says nothing."""
    try:
        fields = jsontext.loads((folder / MANIFEST_FILE).read_bytes())
        return fields["saturation"]["safe"] is True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
