"""Builds for OpenVINO: its own format, so that the device maps weights from the file."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

from edgeroberta.backends import source_graph
from edgeroberta.errors import EngineError
from edgeroberta.runtime.openvino import load
from edgeroberta.storage.files import OPENVINO

XML, WEIGHTS = OPENVINO


def build(graph_dir: Path, output: Path) -> tuple[str, ...]:
    """Convert the graph.

    Read as ONNX with its weights inside, the same model needs 21 MB more (27 MB of weights; version 2026.4);
    with weights beside it, next to nothing: :mod:`edgeroberta.backends.sharing`. But what else reads
    OpenVINO's format, as Optimum's ``OVModelFor…`` does, finds nothing there.
    """
    openvino = load(purpose="building for openvino")
    source = source_graph("openvino", graph_dir)
    try:
        # Not convert_model: the same reader, but it reports its use over the network.
        model = openvino.Core().read_model(str(source))
        _name(model)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO refuses the graph: {error}", where=str(source)) from error
    try:
        # Not halved: the float parts of an int8 graph (LayerNorm, scales, positions) need float32.
        openvino.save_model(model, str(output / XML), compress_to_fp16=False)
    except RuntimeError as error:  # a full disk is an "iostream error" (2026.4)
        if shutil.disk_usage(output).free < 2 * source.stat().st_size + (1 << 20):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(output / WEIGHTS)) from error
        raise EngineError(f"OpenVINO cannot write its files: {error}", where=str(output)) from error
    return (XML, WEIGHTS)


def _name(model: Any) -> None:
    """Number the nodes that OpenVINO names itself by their place: else by how many its process has made."""
    for number, node in enumerate(model.get_ordered_ops()):
        kind = node.get_type_name()
        if re.fullmatch(rf"{kind}_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{kind}_{number}")
