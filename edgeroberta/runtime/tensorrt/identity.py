"""What an engine is bound to: the library, the GPU, the system and the graph."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from edgeroberta.runtime import processor
from edgeroberta.runtime.tensorrt.builder import OptimizationProfile
from edgeroberta.runtime.tensorrt.cuda import CudaDevice
from edgeroberta.runtime.tensorrt.library import TensorRtLibrary
from edgeroberta.storage import codedigest
from edgeroberta.storage.artifact import digest_file, digest_value

#: The module that builds engines: when it is fixed, they are built again.
BUILDER = "edgeroberta.runtime.tensorrt.builder"

_L4T = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")


def engine_key(
    library: TensorRtLibrary,
    gpu: CudaDevice,
    graph: Path,
    *,
    profiles: Sequence[OptimizationProfile],
    precision: str,
    root: Path = Path("/"),
) -> dict[str, Any]:
    """Return all that an engine is bound to, as JSON values.

    Caps on workspace and time are left out: an engine that was built under others gives the same answers.
    ``precision``: ``int8`` or ``fp16``. ``root``: where ``etc`` is; tests give a recorded tree.
    """
    return {
        "library": library.name,
        "version": library.version,
        "sm": gpu.sm,
        "device": gpu.name,
        "board": board(root),
        "l4t": l4t_release(root),
        "graph": graph_digest(graph),
        "profiles": [list(astuple(profile)) for profile in profiles],
        "precision": precision,
        "builder": codedigest.of(BUILDER),
    }


def device_name(library: TensorRtLibrary, gpu: CudaDevice, root: Path = Path("/")) -> str:
    """Return a name for what is kept per device whatever the graph, such as timings of kernels."""
    facts = [library.name, library.version, gpu.sm, gpu.name, board(root), l4t_release(root)]
    return digest_value(facts)[:32]


def board(root: Path = Path("/")) -> str:
    """Return the board's name in the device tree; empty on machines without one.

    CUDA calls every Orin "Orin", with 8 multiprocessors or 16, and a home folder on a server may be shared.
    """
    return processor.text(root / "proc/device-tree/model").strip("\0 \n")


def l4t_release(root: Path = Path("/")) -> str:
    """Return the release of NVIDIA's Linux for Tegra, e.g. ``36.4.3``; empty on other machines."""
    text = processor.text(root / "etc/nv_tegra_release")
    found = _L4T.search(text)
    return f"{found[1]}.{found[2]}" if found else text.strip()[:40]


def graph_digest(graph: Path) -> str:
    """Return the sha256 (hex) of an ONNX file and of the files beside it that hold its weights.

    Those are found by their names, which the graph has in it as they are.
    """
    data = graph.read_bytes()
    digest = hashlib.sha256(data)
    for file in sorted(graph.parent.glob("*data*")):
        if file != graph and file.is_file() and file.name.encode() in data:
            digest.update(f"\0{file.name}\0{digest_file(file)}".encode())
    return digest.hexdigest()
