"""Runs graphs for the quantizer, in ONNX Runtime with all cores."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeroberta.runtime.onnxruntime import open_graph


def open_session(graph: Path) -> Any:
    """Open an ONNX file as an ``InferenceSession`` for the quantizer's own use."""
    return open_graph(graph, threads=0)


def run_logits(session: Any, inputs: Iterable[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return logits float32 [texts, labels] of token ids int64 [length] each, one text at a time."""
    rows = []
    for ids in inputs:
        feed = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        rows.append(session.run(["logits"], feed)[0][0])
    return np.asarray(rows, np.float32)
