"""A deserialized engine: its inputs and outputs, its profiles, and what its layers compute in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError
from edgeroberta.runtime.session import Logits
from edgeroberta.runtime.tensorrt.library import EngineLog, TensorRtLibrary

IDS, MASK, LOGITS = "input_ids", "attention_mask", "logits"

#: TensorRT's name of a data type to numpy's. numpy has no bfloat16: its bits are the upper half of a
#: float32's.
_DTYPES = {
    "INT64": np.int64,
    "INT32": np.int32,
    "FLOAT": np.float32,
    "HALF": np.float16,
    "BF16": np.uint16,
}


@dataclass(frozen=True)
class ProfileShapes:
    """The shapes one profile takes: ``shortest`` … ``longest`` tokens, 1 … ``batch`` texts."""

    profile: int
    shortest: int
    longest: int
    batch: int


class DeserializedEngine:
    """An engine on the device. ``labels``: outputs per text, or per token where ``per_token`` is true."""

    def __init__(self, library: TensorRtLibrary, plan: bytes) -> None:
        """Deserialize a plan. ``plan``: the serialized engine; its origin has been checked."""
        self.library = library
        self.log = EngineLog(library)
        # The engine needs both for as long as it lives.
        self._runtime: Any = library.module.Runtime(self.log.logger)
        self.engine: Any = self._runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            raise EngineError(f"{library.title} cannot load its engine: {self.log.errors()}")
        names = {self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)}
        if not names >= {IDS, MASK, LOGITS}:
            raise EngineError(f"the engine has the tensors {sorted(names)}, not those of a bundle")
        self.ids_dtype = self._dtype(IDS)
        self.mask_dtype = self._dtype(MASK)
        self._logits_dtype = self._dtype(LOGITS)
        shape = tuple(self.engine.get_tensor_shape(LOGITS))
        self.labels, self.per_token = int(shape[-1]), len(shape) == 3 and shape[1] < 0
        #: masks of each text that it has outputs for; None where it fills none
        self.masks = int(shape[1]) if len(shape) == 3 and shape[1] > 0 else None
        self.shapes = sorted(
            (self._profile(index) for index in range(self.engine.num_optimization_profiles)),
            key=lambda shapes: shapes.longest,
        )

    @property
    def cells(self) -> int:
        """Most tokens of one call, all texts together."""
        return max(shapes.batch * shapes.longest for shapes in self.shapes)

    @property
    def batch(self) -> int:
        """Most texts of one call."""
        return max(shapes.batch for shapes in self.shapes)

    @property
    def most_logits_bytes(self) -> int:
        """Bytes of the outputs of the largest call."""
        return max(self.logits_bytes(shapes.batch, shapes.longest) for shapes in self.shapes)

    def logits_bytes(self, batch: int, length: int) -> int:
        """Return the bytes of a call's outputs."""
        units = batch * (self.masks or (length if self.per_token else 1))
        return units * self.labels * np.dtype(self._logits_dtype).itemsize

    def fitting(self, length: int) -> tuple[ProfileShapes, int]:
        """Find how to run texts of ``length`` tokens."""
        for shapes in self.shapes:
            if length <= shapes.longest:
                return shapes, max(length, shapes.shortest)
        raise EngineError(
            f"{length} tokens, where the engine was built for up to {self.shapes[-1].longest}",
            hint="edgeroberta build BUNDLE",
        )

    def context(self, *, graphs: bool) -> Any:
        """Make an execution context; ``graphs``: let TensorRT-RTX capture CUDA graphs by itself."""
        trt, began = self.library.module, self.log.mark()
        # Memory for the profile in use only, not for the largest one.
        strategy = trt.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        if self.library.rtx:
            config = self.engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(strategy)
            if graphs:
                config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            context = self.engine.create_execution_context(config)
        else:
            context = self.engine.create_execution_context(strategy)
        if context is None:
            raise EngineError(f"no memory for an execution context: {self.log.errors(began)}")
        return context

    def outputs(self, raw: npt.NDArray[np.uint8], rows: int, tokens: int) -> Logits:
        """Return a copy of a call's outputs, float32 [rows, labels], or [rows, tokens or masks, labels].

        ``tokens``: tokens of a text as they were asked for; the engine may have been given padding as well.
        """
        found = raw.view(self._logits_dtype)
        if self.per_token:
            found = found.reshape(rows, -1 if rows else tokens, self.labels)[:, :tokens]
        elif self.masks is not None:
            found = found.reshape(rows, self.masks, self.labels)
        else:
            found = found.reshape(rows, self.labels)
        if self._logits_dtype is np.uint16:
            return (found.astype(np.uint32) << 16).view(np.float32)
        return found.astype(np.float32)

    def close(self) -> None:
        """Free the engine; contexts must be gone before."""
        self.engine = None
        self._runtime = None

    def _dtype(self, tensor: str) -> type[Any]:
        name = self.engine.get_tensor_dtype(tensor).name
        if name not in _DTYPES:
            raise EngineError(f"the engine's {tensor} is of type {name}, which is not supported")
        return _DTYPES[name]

    def _profile(self, index: int) -> ProfileShapes:
        least, _, most = (tuple(each) for each in self.engine.get_tensor_profile_shape(IDS, index))
        return ProfileShapes(index, int(least[1]), int(most[1]), int(most[0]))
