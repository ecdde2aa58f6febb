"""Runs the float16 graph of a bundle in ONNX Runtime on an NVIDIA GPU, or not at all.

ONNX Runtime goes on with the CPU where CUDA does not load. Whoever asked for the GPU would then measure
something else, so a session that is not on it is refused.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import Ids, Logits, not_installed, opened

NAME = "onnxruntime-cuda"
GRAPH = "model_fp16.onnx"
PROVIDER = "CUDAExecutionProvider"


class OnnxRuntimeCudaSession:
    """A session on the CUDA provider."""

    name = NAME

    def __init__(self, session: Any, runtime: Any) -> None:
        self._session = session
        self._runtime = runtime
        self.version = str(runtime.__version__)

    def padded_length(self, length: int) -> int:
        """Return ``length``: the graph takes any."""
        return length

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch; see :class:`edgeroberta.runtime.session.Session`."""
        feed = {"input_ids": input_ids, "attention_mask": attention_mask}
        session = opened(self._session)
        try:
            return np.asarray(session.run(("logits",), feed)[0], np.float32)
        # ONNX Runtime's exceptions share no base of their own but Exception (1.20 to 1.31).
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {error}", where=GRAPH) from error

    def run_timed(self, input_ids: Ids, attention_mask: Ids) -> tuple[Logits, float]:
        """Run one batch and tell how long the GPU took.

        Inputs and outputs are bound to memory of the GPU, so that the copies to it and back are not in the
        time. For answers :meth:`run` is as good: it makes the same copies. ``input_ids``: int64 [batch,
        length], padded on the right. ``attention_mask``: int64 [batch, length]. Returns float32 [batch,
        labels], and seconds.
        """
        session = opened(self._session)
        try:
            binding = session.io_binding()
            for name, values in (("input_ids", input_ids), ("attention_mask", attention_mask)):
                there = self._runtime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), "cuda", 0)
                binding.bind_ortvalue_input(name, there)
            binding.bind_output("logits", "cuda", 0)
            binding.synchronize_inputs()
            started = time.perf_counter()
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            seconds = time.perf_counter() - started
            return np.asarray(binding.copy_outputs_to_cpu()[0], np.float32), seconds
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {error}", where=GRAPH) from error

    def close(self) -> None:
        """Let go of the engine's memory."""
        self._session = None


def open(folder: Path, *, threads: int, lengths: Lengths) -> OnnxRuntimeCudaSession:
    """Load ``model_fp16.onnx`` on the first GPU; ``threads`` are for what is left to the CPU."""
    try:
        import onnxruntime
    except ImportError as error:
        raise not_installed(NAME, purpose=f"the engine {NAME}") from error
    if PROVIDER not in onnxruntime.get_available_providers():
        raise not_installed(NAME, purpose=f"the engine {NAME}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A pattern is kept for every shape ever seen: 6 MB after 500 shapes, and no faster (1.31).
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # what it logs as an error it raises as well
    try:
        session = onnxruntime.InferenceSession(str(folder / GRAPH), options, providers=[PROVIDER])
    except Exception as error:
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} refuses the graph: {error}", where=str(folder / GRAPH)
        ) from error
    running = session.get_providers()
    if PROVIDER not in running:
        raise UnavailableError(
            f"ONNX Runtime {onnxruntime.__version__} could not start CUDA and would run on "
            f"{', '.join(running)} instead",
            where=NAME,
            hint="nvidia-smi tells whether there is a GPU; CUDA and cuDNN must be those that this version "
            "of onnxruntime-gpu was built for",
        )
    return OnnxRuntimeCudaSession(session, onnxruntime)
