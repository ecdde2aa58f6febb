"""Runs graphs for the quantizer, in ONNX Runtime with all cores."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeroberta.errors import EngineError, missing_extra
from edgeroberta.runtime.onnxruntime import keep_exact


def open_session(graph: Path) -> Any:
    """Open an ONNX file for the quantizer's own use.

    Returns:
        An ``onnxruntime.InferenceSession``.

    Raises:
        UnavailableError: onnxruntime is not installed.
        EngineError: It refuses the graph.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "compress", purpose="quantizing a model") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # One-off sessions over texts of every length: the arena would keep the peak of each length.
    options.enable_cpu_mem_arena = False
    keep_exact(options)  # the graph may be for another processor
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own C++ module, without a base
        raise EngineError(f"ONNX Runtime refuses the graph ({error})", where=str(graph)) from error


def run_logits(session: Any, inputs: Iterable[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return logits float32 [texts, labels] of token ids int64 [length] each, one text at a time."""
    rows = []
    for ids in inputs:
        feed = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        rows.append(session.run(["logits"], feed)[0][0])
    return np.asarray(rows, np.float32)
