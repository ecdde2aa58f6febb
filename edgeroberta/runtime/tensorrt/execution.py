"""One thread's way through an engine: a stream, pinned buffers, an execution context, and CUDA graphs.

A call copies its ids to the device, runs the engine and copies the outputs back, all queued on one stream.
A graph spares the CPU the launch of every kernel. It may be replayed only while its execution context is as
it was when it was recorded, so each graph has a context of its own.
https://docs.nvidia.com/deeplearning/tensorrt/latest/performance/best-practices.html
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import EngineError
from edgeroberta.runtime.session import Ids, Logits
from edgeroberta.runtime.tensorrt.cuda import Buffer, Cuda, aligned
from edgeroberta.runtime.tensorrt.loaded import IDS, LOGITS, MASK, DeserializedEngine, ProfileShapes

# Shapes with a graph of their own, per lane; each has the memory of an execution context. Three warm lengths
# at batch 1, and as many again for the batches that a program keeps coming back with.
_GRAPHS = 6
# A shape gets its graph when it is met for this time: odd batches of a single request stay without.
_MEETINGS = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchShape:
    """Shape of one call: texts, tokens per text, and the profile that takes them."""

    batch: int
    length: int
    profile: int


@dataclass
class GraphUse:
    """Whether CUDA graphs are used, and how it went; shared by all lanes of a session."""

    wanted: bool = True  # False to run without
    captured: int = 0  # graphs made so far
    refused: str | None = None  # why the engine does not let itself be recorded; None while it does


class _ShapedContext:
    """An execution context, and the shape it is set to."""

    def __init__(self, loaded: DeserializedEngine, use: GraphUse) -> None:
        self._log, self._began = loaded.log, 0
        self.context: Any = loaded.context(graphs=use.wanted)
        self._call: BatchShape | None = None
        self._profile: int | None = None

    def set(self, call: BatchShape, addresses: dict[str, int], stream: int) -> None:
        if call == self._call:
            return
        self._call, context, self._began = None, self.context, self._log.mark()
        # A new context may call profile 0 active without having the memory for it.
        if call.profile != self._profile:
            self._profile = None
            self._check(context.set_optimization_profile_async(call.profile, stream), "the profile")
            self._profile = call.profile
        for name in (IDS, MASK):
            self._check(context.set_input_shape(name, (call.batch, call.length)), f"the shape of {name}")
        for name, address in addresses.items():
            self._check(context.set_tensor_address(name, address), f"the address of {name}")
        self._call = call

    def execute(self, stream: int) -> None:
        self._began = self._log.mark()
        self._check(self.context.execute_async_v3(stream), "the call")

    def _check(self, done: bool, what: str) -> None:
        if not done:
            why = self._log.errors(self._began) or "it does not say why"
            raise EngineError(f"TensorRT refuses {what}: {why}")


class ExecutionContext:
    """What one call at a time can use."""

    def __init__(self, cuda: Cuda, loaded: DeserializedEngine, use: GraphUse) -> None:
        """Allocate buffers for the largest call; graphs come as shapes are met."""
        self._cuda, self._loaded, self._use = cuda, loaded, use
        self._seen_times: dict[BatchShape, int] = {}
        self._graphs: dict[BatchShape, tuple[_ShapedContext, Any]] = {}
        self._events: tuple[Any, Any] | None = None
        with contextlib.ExitStack() as undo:
            self._stream = cuda.stream()
            undo.callback(cuda.call, "cudaStreamDestroy", self._stream)
            # int64 is the larger of the types that ids may have.
            self._inputs = Buffer(cuda, 2 * aligned(loaded.cells * 8))
            undo.callback(self._inputs.close)
            self._outputs = Buffer(cuda, loaded.most_logits_bytes)
            undo.callback(self._outputs.close)
            self._context: _ShapedContext | None = _ShapedContext(loaded, use)
            self._undo = undo.pop_all()

    def run(
        self, input_ids: Ids, attention_mask: Ids, shapes: ProfileShapes, length: int, *, timed: bool = False
    ) -> tuple[Logits, float]:
        """Run one batch that fits a profile.

        ``input_ids``: integers [batch, tokens]. ``attention_mask``: the same shape. ``length``: tokens per
        text that the engine is run with. Returns float32 [batch, labels], or [batch, tokens, labels] of a
        head per token, a fresh array, and the seconds between the copies; 0 unless timed. Raises EngineError:
        TensorRT or CUDA failed.
        """
        batch = len(input_ids)
        call = BatchShape(batch, length, shapes.profile)
        size = self._fill(input_ids, attention_mask, length)
        self._inputs.to_device(size, self._stream)
        launch = self._ready(call)
        if timed:
            launch = self._timed(launch)
        launch()
        answers = self._loaded.logits_bytes(batch, length)
        self._outputs.to_host(answers, self._stream)
        self._cuda.call("cudaStreamSynchronize", self._stream)
        logits = self._loaded.outputs(self._outputs.view((answers,), "u1"), *input_ids.shape)
        seconds = 0.0
        if timed and self._events:
            # In milliseconds, as CUDA has it.
            seconds = float(self._cuda.call("cudaEventElapsedTime", *self._events)) / 1000
        return logits, seconds

    def close(self) -> None:
        """Free graphs, contexts and buffers, in this order; no call may be under way."""
        with contextlib.suppress(EngineError):  # after a failure, work may be left that uses them
            self._cuda.call("cudaStreamSynchronize", self._stream)
        for _, graph in self._graphs.values():
            self._cuda.call("cudaGraphExecDestroy", graph)
        for event in self._events or ():
            self._cuda.call("cudaEventDestroy", event)
        self._events = None
        self._graphs.clear()
        self._context = None
        self._undo.close()

    def _fill(self, input_ids: Ids, attention_mask: Ids, length: int) -> int:
        """Write both inputs behind one another; returns the bytes to copy."""
        batch, tokens = input_ids.shape
        end = 0
        for values, dtype in ((input_ids, self._loaded.ids_dtype), (attention_mask, self._loaded.mask_dtype)):
            view = self._inputs.view((batch, length), dtype, end)
            view[:, :tokens] = values
            view[:, tokens:] = 0  # the mask says that nothing is there, so the id does not matter
            end = aligned(end + view.nbytes)
        return end

    def _addresses(self, call: BatchShape) -> dict[str, int]:
        first = call.batch * call.length * self._loaded.ids_dtype().itemsize
        return {
            IDS: self._inputs.device,
            MASK: self._inputs.device + aligned(first),
            LOGITS: self._outputs.device,
        }

    def _ready(self, call: BatchShape) -> Any:
        """Return a function that queues the engine for a shape: its graph, or every kernel anew."""
        found = self._graphs.get(call) or self._record(call)
        if found is not None:
            graph = found[1]
            return lambda: self._cuda.call("cudaGraphLaunch", graph, self._stream)
        if self._context is None:
            raise EngineError("the session is closed")
        stream = int(self._stream)
        self._context.set(call, self._addresses(call), stream)
        context = self._context
        return lambda: context.execute(stream)

    def _record(self, call: BatchShape) -> tuple[_ShapedContext, Any] | None:
        """Make the graph of a shape if it is its turn; None to run without."""
        if not self._use.wanted or self._use.refused or self._loaded.library.rtx:
            return None
        seen_times = self._seen_times[call] = self._seen_times.get(call, 0) + 1
        if seen_times < _MEETINGS or len(self._graphs) >= _GRAPHS:
            return None
        stream = int(self._stream)
        try:
            context = _ShapedContext(self._loaded, self._use)
            context.set(call, self._addresses(call), stream)
            # Once without: what a new shape needs is done in the first call, and cannot be recorded.
            context.execute(stream)
            self._cuda.call("cudaStreamSynchronize", self._stream)
            self._cuda.capture(self._stream)
            try:
                context.execute(stream)
            except EngineError:
                with contextlib.suppress(EngineError):
                    self._cuda.captured(self._stream)
                raise
            graph = self._cuda.captured(self._stream)
        except EngineError as error:
            self._use.refused = error.what
            logger.info("no CUDA graphs: %s", error.what)
            return None
        self._use.captured += 1
        self._graphs[call] = context, graph
        return self._graphs[call]

    def _timed(self, launch: Any) -> Any:
        if self._events is None:
            self._events = self._cuda.call("cudaEventCreate"), self._cuda.call("cudaEventCreate")
        start, end = self._events

        def run() -> None:
            self._cuda.call("cudaEventRecord", start, self._stream)
            launch()
            self._cuda.call("cudaEventRecord", end, self._stream)

        return run
