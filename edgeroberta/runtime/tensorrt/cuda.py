"""CUDA through its own Python bindings: memory, streams, events and graphs, and nothing else.

Every call of the bindings returns a tuple of an error and results; :meth:`Cuda.call` is the one place that
looks at the error.
"""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime import driver

# Its name since cuda-python 12.6.1, and the one before, which cuda-python 13 has no longer.
_MODULES = ("cuda.bindings.runtime", "cuda.cudart")
#: TensorRT requires addresses of tensors aligned to this many bytes.
ALIGNMENT = 256


@dataclass(frozen=True)
class CudaDevice:
    """The GPU in use."""

    name: str  # as the driver calls it, e.g. ``Orin``.
    sm: str  # compute capability, e.g. ``8.7``.
    total_bytes: int  # its memory; on a Jetson this is the main memory
    integrated: bool  # True where it shares memory with the CPU


class Cuda:
    """The CUDA runtime. Streams, events and graphs are handles of the bindings, addresses are numbers."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self._success = runtime.cudaError_t.cudaSuccess

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the runtime, or raise EngineError; returns its result, or a tuple of several."""
        try:
            error, *results = getattr(self.runtime, name)(*arguments)
        except RuntimeError as failure:  # the bindings cannot load the driver
            raise EngineError(f"CUDA: {name} failed: {failure}") from failure
        if error != self._success:
            raise EngineError(f"CUDA: {name} failed: {self._describe(error)}")
        return None if not results else results[0] if len(results) == 1 else tuple(results)

    def gpu(self) -> CudaDevice:
        """Return the facts of the device in use: the first that ``CUDA_VISIBLE_DEVICES`` shows."""
        found = self.call("cudaGetDeviceProperties", self.call("cudaGetDevice"))
        name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
        return CudaDevice(
            name=name.rstrip("\0"),
            sm=f"{found.major}.{found.minor}",
            total_bytes=int(found.totalGlobalMem),
            integrated=bool(found.integrated),
        )

    def free_bytes(self) -> int:
        """Return the device memory that is free."""
        return int(self.call("cudaMemGetInfo")[0])

    def stream(self) -> Any:
        """Make a stream that does not wait for the default one."""
        return self.call("cudaStreamCreateWithFlags", self.runtime.cudaStreamNonBlocking)

    def capture(self, stream: Any) -> None:
        """Begin to record what this thread puts on a stream."""
        # Of this thread only: others allocate memory meanwhile, which a global capture forbids.
        mode = self.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)

    def captured(self, stream: Any) -> Any:
        """End recording. Raises EngineError: something was recorded that graphs cannot hold."""
        graph = self.call("cudaStreamEndCapture", stream)
        try:
            return self.call("cudaGraphInstantiate", graph, 0)
        finally:
            self.call("cudaGraphDestroy", graph)

    def _describe(self, error: Any) -> str:
        failed, text = self.runtime.cudaGetErrorString(error)
        if failed != self._success:
            return str(error)
        return text.decode() if isinstance(text, bytes) else str(text)


class Buffer:
    """As much pinned host memory as device memory (address ``device``, aligned), for copies both ways."""

    def __init__(self, cuda: Cuda, size: int) -> None:
        self._cuda = cuda
        self.size = size
        self._host: int | None = int(cuda.call("cudaHostAlloc", size, cuda.runtime.cudaHostAllocDefault))
        try:
            self.device: int = int(cuda.call("cudaMalloc", size))
        except EngineError:
            cuda.call("cudaFreeHost", self._host)
            raise
        raw = (ctypes.c_uint8 * size).from_address(self._host)
        self._bytes: npt.NDArray[np.uint8] = np.ctypeslib.as_array(raw)
        self._bytes[:] = 0

    def view(self, shape: tuple[int, ...], dtype: npt.DTypeLike, offset: int = 0) -> npt.NDArray[Any]:
        """Return an array that lies in the host memory; it must not be used after :meth:`close`."""
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._bytes[offset : offset + count].view(dtype).reshape(shape)

    def to_device(self, size: int, stream: Any) -> None:
        """Queue a copy of the first ``size`` bytes to the device."""
        kind = self._cuda.runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._cuda.call("cudaMemcpyAsync", self.device, self._host, size, kind, stream)

    def to_host(self, size: int, stream: Any) -> None:
        """Queue a copy of the first ``size`` bytes to the host."""
        kind = self._cuda.runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._cuda.call("cudaMemcpyAsync", self._host, self.device, size, kind, stream)

    def close(self) -> None:
        """Free both halves; a second call does nothing."""
        if self._host is not None:
            host, self._host = self._host, None
            self._bytes = np.empty(0, np.uint8)
            self._cuda.call("cudaFree", self.device)
            self._cuda.call("cudaFreeHost", host)


def aligned(size: int) -> int:
    """Return ``size`` rounded up to what tensors are aligned to."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def load() -> Cuda:
    """Import the bindings and look for a GPU."""
    newest = driver.driver_version()
    if newest is None:
        raise UnavailableError(
            "there is no NVIDIA driver on this machine (libcuda.so.1 cannot be loaded)",
            hint="run this on a machine with an NVIDIA GPU",
        )
    for name in _MODULES:
        try:
            cuda = Cuda(importlib.import_module(name))
        except ImportError:
            continue
        break
    else:
        raise UnavailableError(
            "TensorRT engines need the package 'cuda-python', which is not installed",
            hint=f"pip install '{driver.requirement(newest)}'",
        )
    try:
        count = cuda.call("cudaGetDeviceCount")
    except EngineError as error:
        raise UnavailableError(
            f"there is no usable NVIDIA GPU ({error.what})",
            hint=f"pip install '{driver.requirement(newest)}'",
        ) from error
    if not count:
        raise UnavailableError("there is no NVIDIA GPU on this machine", hint="check CUDA_VISIBLE_DEVICES")
    return cuda
