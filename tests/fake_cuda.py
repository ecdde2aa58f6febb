"""A CUDA runtime without a GPU, with the calls, tuples and handles of NVIDIA's Python bindings.

Device memory is host memory. Work on a stream is queued and done when somebody waits for the stream, so a
missing wait, or a buffer that is reused too early, gives wrong answers here as it would on a GPU. While a
stream is being captured its work is recorded, not done.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any


class Error(IntEnum):
    cudaSuccess = 0  # noqa: N815
    cudaErrorMemoryAllocation = 2  # noqa: N815
    cudaErrorNoDevice = 100  # noqa: N815
    cudaErrorStreamCaptureInvalidated = 901  # noqa: N815


class Stream:
    def __init__(self, number: int) -> None:
        self.number = number
        self.queue: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None
        self.invalid = False

    def __int__(self) -> int:
        return self.number

    def put(self, work: Callable[[], None]) -> None:
        (self.queue if self.recording is None else self.recording).append(work)


class FakeCuda:
    """The state behind one fake runtime module.

    Attributes:
        module: What ``import cuda.bindings.runtime`` gives.
        fails: Function name to the error it returns.
        called: Names of all calls, in order.
        memory: Live allocations by address.
    """

    def __init__(
        self,
        *,
        name: str = "Orin",
        sm: tuple[int, int] = (8, 7),
        free: int = 4 << 30,
        devices: int = 1,
        integrated: bool = True,
    ) -> None:
        self.facts = SimpleNamespace(
            name=name.encode(), major=sm[0], minor=sm[1], totalGlobalMem=8 << 30, integrated=int(integrated)
        )
        self.free, self.devices = free, devices
        self.fails: dict[str, Error] = {}
        self.called: list[str] = []
        self.memory: dict[int, Any] = {}
        self.streams: dict[int, Stream] = {}
        self.events: set[int] = set()
        self.graphs: set[int] = set()
        self.clock: dict[int, float] = {}
        self._next = 1000
        self._lock = threading.Lock()
        self.module = self._module()

    @property
    def alive(self) -> int:
        """Number of things that were made and not destroyed."""
        return len(self.memory) + len(self.streams) + len(self.events) + len(self.graphs)

    def _number(self) -> int:
        with self._lock:
            self._next += 1
            return self._next

    def _module(self) -> ModuleType:
        module = ModuleType("cuda.bindings.runtime")
        module.__spec__ = ModuleSpec("cuda.bindings.runtime", None)
        module.cudaError_t = Error
        module.cudaStreamNonBlocking = 1
        module.cudaHostAllocDefault = 0
        module.cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
        module.cudaStreamCaptureMode = SimpleNamespace(
            cudaStreamCaptureModeGlobal=0, cudaStreamCaptureModeThreadLocal=1
        )
        for name in dir(self):
            if name.startswith("cuda"):
                setattr(module, name, self._guard(name, getattr(self, name)))
        return module

    def _guard(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.called.append(name)
            if name in self.fails:
                # As the real ones: as many fields as ever, None instead of results.
                return (self.fails[name], None)
            return function(*arguments)

        return call

    def cudaGetErrorString(self, error: Error) -> Any:  # noqa: N802
        return Error.cudaSuccess, error.name.removeprefix("cudaError").encode()

    def cudaGetDeviceCount(self) -> Any:  # noqa: N802
        return Error.cudaSuccess, self.devices

    def cudaGetDevice(self) -> Any:  # noqa: N802
        return Error.cudaSuccess, 0

    def cudaGetDeviceProperties(self, device: int) -> Any:  # noqa: N802
        return Error.cudaSuccess, self.facts

    def cudaMemGetInfo(self) -> Any:  # noqa: N802
        return Error.cudaSuccess, self.free, 8 << 30

    def _allocate(self, size: int) -> Any:
        memory = (ctypes.c_uint8 * size)()
        ctypes.memset(memory, 0xAA, size)  # never zero by luck
        address = ctypes.addressof(memory)
        self.memory[address] = memory
        return Error.cudaSuccess, address

    def cudaHostAlloc(self, size: int, flags: int) -> Any:  # noqa: N802
        return self._allocate(size)

    def cudaMalloc(self, size: int) -> Any:  # noqa: N802
        return self._allocate(size)

    def cudaFree(self, address: int) -> Any:  # noqa: N802
        del self.memory[address]
        return (Error.cudaSuccess,)

    cudaFreeHost = cudaFree  # noqa: N815

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: int, stream: Stream) -> Any:  # noqa: N802
        assert kind in (1, 2)
        stream.put(lambda: ctypes.memmove(to, source, size))
        return (Error.cudaSuccess,)

    def cudaStreamCreateWithFlags(self, flags: int) -> Any:  # noqa: N802
        stream = Stream(self._number())
        self.streams[stream.number] = stream
        return Error.cudaSuccess, stream

    def cudaStreamDestroy(self, stream: Stream) -> Any:  # noqa: N802
        assert not stream.queue, "a stream was destroyed with work on it"
        del self.streams[stream.number]
        return (Error.cudaSuccess,)

    def cudaStreamSynchronize(self, stream: Stream) -> Any:  # noqa: N802
        assert stream.recording is None, "waiting is forbidden while capturing"
        queue, stream.queue = stream.queue, []
        for work in queue:
            work()
        return (Error.cudaSuccess,)

    def cudaStreamBeginCapture(self, stream: Stream, mode: int) -> Any:  # noqa: N802
        assert mode == 1, "a global capture fails when another thread allocates"
        assert not stream.queue
        stream.recording, stream.invalid = [], False
        return (Error.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: Stream) -> Any:  # noqa: N802
        work, stream.recording = stream.recording, None
        if stream.invalid:
            return Error.cudaErrorStreamCaptureInvalidated, None
        return Error.cudaSuccess, work

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> Any:  # noqa: N802
        executable = SimpleNamespace(number=self._number(), work=list(graph))
        self.graphs.add(executable.number)
        return Error.cudaSuccess, executable

    def cudaGraphDestroy(self, graph: Any) -> Any:  # noqa: N802
        return (Error.cudaSuccess,)

    def cudaGraphExecDestroy(self, executable: Any) -> Any:  # noqa: N802
        self.graphs.remove(executable.number)
        return (Error.cudaSuccess,)

    def cudaGraphLaunch(self, executable: Any, stream: Stream) -> Any:  # noqa: N802
        for work in executable.work:
            stream.put(work)
        return (Error.cudaSuccess,)

    def cudaEventCreate(self) -> Any:  # noqa: N802
        number = self._number()
        self.events.add(number)
        return Error.cudaSuccess, number

    def cudaEventDestroy(self, event: int) -> Any:  # noqa: N802
        self.events.remove(event)
        return (Error.cudaSuccess,)

    def cudaEventRecord(self, event: int, stream: Stream) -> Any:  # noqa: N802
        stream.put(lambda: self.clock.__setitem__(event, time.perf_counter()))
        return (Error.cudaSuccess,)

    def cudaEventElapsedTime(self, start: int, end: int) -> Any:  # noqa: N802
        return Error.cudaSuccess, (self.clock[end] - self.clock[start]) * 1000
