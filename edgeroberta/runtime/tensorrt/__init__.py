"""Runs bundles in TensorRT and TensorRT-RTX, as int8 or as fp16.

Engines are built from the bundle's graph on the device, at first use or by ``edgeroberta build``, and kept in
the user's cache. ``library``, ``engine`` and ``inspection`` need no CUDA.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.runtime.lengths import Lengths
from edgeroberta.storage.files import FP16_GRAPH, TENSORRT_GRAPH

if TYPE_CHECKING:
    from edgeroberta.runtime.tensorrt.tensorrt_session import TensorRtSession

#: Engine name to the file of the bundle it is built from and its precision.
FORMS = {"tensorrt": (TENSORRT_GRAPH, "int8"), "tensorrt-fp16": (FP16_GRAPH, "fp16")}


def open(
    folder: Path, *, threads: int, lengths: Lengths, workspace_bytes: int | None = None
) -> TensorRtSession:
    """Build or load the int8 engine of ``tensorrt.onnx``.

    ``threads``: not used; the work is done on the GPU. ``lengths``: lengths to pad to. The engine is built
    for those of the bundle's own texts where the folder has a manifest, and for these elsewhere.
    ``workspace_bytes``: cap on the scratch memory of a layer, if the engine must be built; None for a quarter
    of what is free, at most 1 GiB. Raises UnavailableError: TensorRT, the CUDA bindings or a GPU is missing;
    EngineError: the engine cannot be built or loaded.
    """
    return _open("tensorrt", folder, lengths, workspace_bytes)


def open_fp16(
    folder: Path, *, threads: int, lengths: Lengths, workspace_bytes: int | None = None
) -> TensorRtSession:
    """Build or load the fp16 engine of ``model_fp16.onnx``; all else as in :func:`open`."""
    return _open("tensorrt-fp16", folder, lengths, workspace_bytes)


def _open(name: str, folder: Path, lengths: Lengths, workspace_bytes: int | None) -> TensorRtSession:
    # Imported here, so that the parts that need no CUDA can be used without it.
    from edgeroberta.runtime.tensorrt import opening

    file, precision = FORMS[name]
    return opening.open_engine(
        name, folder / file, precision, lengths=lengths, workspace_bytes=workspace_bytes
    )
