"""Runs bundles in ONNX Runtime: any length as it is, nothing padded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EngineError, missing_extra
from edgeroberta.runtime import onnx_outputs, processor
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.processor import declared_safe
from edgeroberta.runtime.session import LOG_PROBABILITIES, OF_ALL_TOKENS, Ids, Logits, opened
from edgeroberta.storage.files import GRAPH

#: Where large weights are that lie beside a graph which is given as bytes (``onnxruntime_session_options_
#: config_keys.h``, 1.22 to 1.32).
_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"


class OnnxRuntimeSession:
    """A session on the CPU provider."""

    name = "onnxruntime"
    graph = GRAPH

    def __init__(self, session: Any, version: str) -> None:
        self._session = session
        self.version = version
        first = session.get_outputs()[0]
        self._answers = [first.name]
        #: masks that a text may have, where the graph has room for so many
        self.most_masks = (
            first.shape[1] if len(first.shape) == 3 and isinstance(first.shape[1], int) else None
        )

    def padded_length(self, length: int) -> int:
        """Return ``length``: every length runs equally well."""
        return length

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch; see :class:`edgeroberta.runtime.session.Session`."""
        return self._run(self._answers, input_ids, attention_mask)

    def log_probabilities(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch; see :class:`edgeroberta.runtime.session.MaskSession`."""
        return self._run([LOG_PROBABILITIES], input_ids, attention_mask)

    def _run(self, outputs: list[str], input_ids: Ids, attention_mask: Ids) -> Logits:
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        session = opened(self._session)  # held by this call, whatever closes the session meanwhile
        try:
            return np.asarray(session.run(outputs, feed)[0], np.float32)
        # ONNX Runtime's exceptions share no base of their own but Exception (1.20 to 1.31).
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {error}", where=self.graph) from error

    def close(self) -> None:
        """Free the engine's memory."""
        self._session = None


def open(folder: Path, *, threads: int, lengths: Lengths) -> OnnxRuntimeSession:
    """Load ``model.onnx``; ``lengths`` is not used, since ONNX Runtime takes any."""
    return OnnxRuntimeSession(open_graph(folder / GRAPH, threads=threads), load().__version__)


def open_graph(graph: Path, *, threads: int) -> Any:
    """Load an ONNX file into an ``InferenceSession``; ``threads`` for one call, 0 for all cores."""
    onnxruntime = load()
    options = make_options(graph.parent, threads=threads)
    source: str | bytes = str(graph)
    if LOG_PROBABILITIES in onnx_outputs.names(graph):
        source = onnx_outputs.without(graph, (OF_ALL_TOKENS,))
        options.add_session_config_entry(_FOLDER_OF_WEIGHTS, str(graph.parent))
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's exceptions share no base of their own but Exception (1.20 to 1.32).
    except Exception as error:
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} refuses the graph: {error}", where=str(graph)
        ) from error


def load() -> Any:
    """Import ONNX Runtime. Raises UnavailableError: it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_extra("onnxruntime", "onnxruntime", purpose="the engine onnxruntime") from error
    return onnxruntime


def make_options(folder: Path, *, threads: int) -> Any:
    """Make the ``SessionOptions`` a bundle is opened with; ``threads`` for one call, 0 for all cores."""
    options = lean_options(load(), threads)
    if not declared_safe(folder):
        keep_exact(options)
    return options


def lean_options(onnxruntime: Any, threads: int) -> Any:
    """Make ``SessionOptions`` that take little memory, whatever the provider."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The memory arena stays on: over texts of 4 to 512 tokens, the peak without it is 64 MB higher for a
    # float graph of 30M parameters, 86 MB for the same with calibration's outputs and 88 MB for the int8
    # graph, at 10 to 25 % more time (1.32). A pattern, in contrast, is kept for every shape ever seen: 6 MB
    # after 500 shapes, and no faster (1.31).
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # what it logs as an error it raises as well
    return options


def keep_exact(options: Any) -> None:
    """Ask for int8 kernels that do not saturate, where the fast ones do.

    Only there: with VNNI the option moves every matmul to the kernel without VNNI all the same, for the same
    bits in 1.2 to 1.9 times the time (https://github.com/microsoft/onnxruntime/pull/12088, seen in 1.32.0). A
    processor of which nothing is known is taken for one that saturates: slow, but right. ``options``:
    ``onnxruntime.SessionOptions``, which this changes.
    """
    if processor.saturates() is not False:
        options.add_session_config_entry("session.x64quantprecision", "1")
