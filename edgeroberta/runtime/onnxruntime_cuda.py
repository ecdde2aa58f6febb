"""Runs the float16 graph of a bundle in ONNX Runtime on an NVIDIA GPU, or not at all.

ONNX Runtime continues with the CPU where CUDA does not load. Whoever asked for the GPU would then measure
something else, so a session that is not on it is refused.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.onnxruntime import OnnxRuntimeSession, lean_options
from edgeroberta.runtime.session import Ids, Logits, not_installed, opened
from edgeroberta.storage.files import FP16_GRAPH

NAME = "onnxruntime-cuda"
PROVIDER = "CUDAExecutionProvider"


class OnnxRuntimeCudaSession(OnnxRuntimeSession):
    """A session on the CUDA provider."""

    name = NAME
    graph = FP16_GRAPH

    def __init__(self, session: Any, runtime: Any) -> None:
        super().__init__(session, str(runtime.__version__))
        self._runtime = runtime

    def run_timed(self, input_ids: Ids, attention_mask: Ids) -> tuple[Logits, float]:
        """Run one batch and tell how long the GPU took.

        Inputs and outputs are bound to memory of the GPU, so that the copies to it and back are not in the
        time. For answers :meth:`OnnxRuntimeSession.run` is as good: it makes the same copies.
        ``input_ids``: int64 [batch, length], padded on the right. ``attention_mask``: int64 [batch, length].
        Returns float32 [batch, labels], and seconds.
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
            raise EngineError(f"ONNX Runtime failed: {error}", where=FP16_GRAPH) from error


def open(folder: Path, *, threads: int, lengths: Lengths) -> OnnxRuntimeCudaSession:
    """Load ``model_fp16.onnx`` on the first GPU; ``threads`` are for what is left to the CPU."""
    try:
        import onnxruntime
    except ImportError as error:
        raise not_installed(NAME, purpose=f"the engine {NAME}") from error
    if PROVIDER not in onnxruntime.get_available_providers():
        raise not_installed(NAME, purpose=f"the engine {NAME}")
    options = lean_options(onnxruntime, threads)
    try:
        session = onnxruntime.InferenceSession(str(folder / FP16_GRAPH), options, providers=[PROVIDER])
    except Exception as error:
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} refuses the graph: {error}",
            where=str(folder / FP16_GRAPH),
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
