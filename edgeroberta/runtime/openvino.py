"""Runs bundles in OpenVINO on the CPU: a few fixed lengths, each compiled once.

Fixed shapes, because with a dynamic one OpenVINO infers shapes anew on every call (1.1 ms of 2.4 ms at
16 tokens, six layers of width 384, version 2026.4), and because int8 with dynamic shapes crashes on
CPUs with AMX (https://github.com/openvinotoolkit/openvino/issues/37577, seen up to 2026.4.1).
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EngineError, missing_extra
from edgeroberta.runtime import openvino_masks
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import Ids, Logits, opened
from edgeroberta.storage.files import GRAPH, OPENVINO

_ABSENT: Any = None


class _Compiled:
    """The graph compiled for one length, and the requests that are not in use."""

    def __init__(self, model: Any) -> None:
        self.model = model
        # append and pop of a deque are atomic; there are never more requests than threads at once.
        self.idle: deque[Any] = deque()

    def run(self, feed: Mapping[str, Any], output: int = 0) -> Logits:
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.model.create_infer_request()
        try:
            # Sharing spares OpenVINO's own copies of inputs and outputs.
            result = request.infer(feed, share_inputs=True, share_outputs=True)
            # The request owns the output and will write into it again.
            logits = np.array(result[output], np.float32)
        finally:
            self.idle.append(request)
        return logits


class OpenVinoSession:
    """A session that pads to prepared lengths and prepares the others when they are first met."""

    name = "openvino"

    def __init__(self, core: Any, graph: Path, *, version: str, threads: int, lengths: Lengths) -> None:
        self._core = core
        self._graph = graph
        self._threads = threads
        self._lengths = lengths
        self._compiled: dict[int, _Compiled] = {}
        self._compiling = threading.Lock()
        self.version = version
        model = core.read_model(str(graph))
        self._mask_id = openvino_masks.mask_id(model)
        self._head = None if self._mask_id is None else self._compiled_for(openvino_masks.head(model))
        for length in lengths.warm:
            self._compile(length)

    def padded_length(self, length: int) -> int:
        """Return the prepared length that an input of ``length`` tokens is padded to."""
        return self._lengths.padded(length)

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch, text by text; see :class:`edgeroberta.runtime.session.Session`.

        A batch brings next to nothing here (8 x 128 tokens: 40 ms, 8 times 1 x 128: 44 ms), and would
        have to be compiled for every batch size.
        """
        return self._run(input_ids, attention_mask, 0)

    def log_probabilities(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch; see :class:`edgeroberta.runtime.session.MaskSession`."""
        return self._run(input_ids, attention_mask, 1)

    def _run(self, input_ids: Ids, attention_mask: Ids, output: int) -> Logits:
        length = input_ids.shape[1]
        try:
            compiled = self._compiled.get(length) or self._compile(length)
            if len(input_ids) == 1:
                feed = {"input_ids": input_ids, "attention_mask": attention_mask}
                return self._filled(compiled.run(feed), input_ids, output)
            rows = []
            for i in range(len(input_ids)):
                one = input_ids[i : i + 1]
                feed = {"input_ids": one, "attention_mask": attention_mask[i : i + 1]}
                rows.append(self._filled(compiled.run(feed), one, output))
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {error}", where=self._graph.name) from error
        return np.concatenate(rows)

    def _filled(self, found: Logits, input_ids: Ids, output: int) -> Logits:
        """Return what the head makes of the states of a text's masks; what was found where there is none."""
        head = self._head
        if head is None:
            return found
        states = found[:, input_ids[0] == self._mask_id]
        rows = [
            head.run({openvino_masks.STATES: states[:, i : i + 1]}, output) for i in range(states.shape[1])
        ]
        if not rows:
            width = head.model.outputs[output].get_partial_shape()[1].get_length()
            return np.empty((0, width), np.float32)
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def executed(self, length: int) -> tuple[Any, ...]:
        """Return OpenVINO's own models of what it executes at a length: ``openvino.Model`` each."""
        parts = [self._compiled.get(length) or self._compile(length), self._head]
        return tuple(part.model.get_runtime_model() for part in parts if part is not None)

    def close(self) -> None:
        """Free the engine's memory."""
        with self._compiling:  # what is being compiled would be kept after it
            self._compiled = {}
            self._head = None
            self._core = None

    def _compile(self, length: int) -> _Compiled:
        with self._compiling:
            if length in self._compiled:
                return self._compiled[length]
            # Read anew each time: weights are mapped from the file, so this costs 20 ms and no memory.
            model = opened(self._core).read_model(str(self._graph))
            if self._mask_id is not None:
                model = openvino_masks.encoder(model)
            for result in model.get_results()[1:]:  # what other programs read of the graph
                model.remove_result(result)
            model.reshape({name: [1, length] for name in ("input_ids", "attention_mask")})
            compiled = self._compiled_for(model)
            self._compiled[length] = compiled
            return compiled

    def _compiled_for(self, model: Any) -> _Compiled:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(self._threads),
            # Without it, CPUs with AMX or AVX-512 BF16 round the float part to bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        return _Compiled(opened(self._core).compile_model(model, "CPU", settings))


def load(*, purpose: str) -> Any:
    """Import OpenVINO without its telemetry.

    The import alone reports itself over the network and writes to ``~/intel``, unless the package that does
    so is missing (``openvino/tools/ovc/__init__.py`` and ``telemetry_utils.py``, seen in 2026.4.1). Raises
    UnavailableError: OpenVINO is not installed.
    """
    # None in sys.modules makes an import fail. One that the user has imported is theirs.
    hidden = sys.modules.setdefault("openvino_telemetry", _ABSENT) is _ABSENT
    try:
        import openvino
    except ImportError as error:
        raise missing_extra("openvino", "openvino", purpose=purpose) from error
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]
    return openvino


def open(folder: Path, *, threads: int, lengths: Lengths) -> OpenVinoSession:
    """Load ``openvino_model.xml`` and compile it for the lengths that most texts have.

    Without that file, ``model.onnx`` is read; weights beside it are mapped as those of the other are. Raises
    UnavailableError: OpenVINO is not installed; EngineError: it refuses the graph.
    """
    openvino = load(purpose="the engine openvino")
    # "2026.4.1-22345-…": the part before the dash is the release.
    version = str(openvino.__version__).split("-")[0]
    own = folder / OPENVINO[0]
    graph = own if own.is_file() else folder / GRAPH
    try:
        return OpenVinoSession(openvino.Core(), graph, version=version, threads=threads, lengths=lengths)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO {version} refuses the graph: {error}", where=str(graph)) from error
