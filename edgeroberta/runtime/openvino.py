"""Runs bundles in OpenVINO on the CPU: a few fixed lengths, each compiled once, when it is first needed.

Fixed shapes, because with a dynamic one OpenVINO infers shapes anew on every call (1.1 ms of 2.4 ms at
16 tokens, six layers of width 384, version 2026.4), and because int8 with dynamic shapes crashes on
CPUs with AMX (https://github.com/openvinotoolkit/openvino/issues/37577, seen up to 2026.4.1).

A length costs 0.3 to 0.4 s and 36 MB: 11 MB of weights in the order of the kernels, which models that were
compiled apart do not share, the rest OpenVINO's own objects (six layers of width 384). So opening compiles
only the length that most texts have.
"""

from __future__ import annotations

import ctypes
import io
import logging
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta.errors import EngineError, missing_extra
from edgeroberta.runtime import openvino_masks
from edgeroberta.runtime.compiled_graphs import CompiledGraphs
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import Ids, Logits, opened
from edgeroberta.storage.files import GRAPH, OPENVINO

logger = logging.getLogger(__name__)

_ABSENT: Any = None
#: Leaves the weights out of an exported model, which then has 1 MB instead of 31 and reads them from the
#: bundle's file, given as ``WEIGHTS_PATH`` (2026.4).
_WITHOUT_WEIGHTS = {"CACHE_MODE": "OPTIMIZE_SIZE"}


def properties(threads: int) -> dict[str, str]:
    """Return the properties that graphs are compiled with; ``threads`` for one call."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        # Without it, CPUs with AMX or AVX-512 BF16 round the float part to bfloat16.
        "INFERENCE_PRECISION_HINT": "f32",
    }


class InferRequest:
    """A request with input arrays of its own, which each call fills.

    Arrays that are given to ``infer`` become tensors anew in every call: 0.15 ms of a text's 1.9 in three
    layers of width 384 (2026.4.1, process time, a Sapphire Rapids core under load).
    """

    def __init__(self, model: Any) -> None:
        import openvino

        self._request = model.create_infer_request()
        self._inputs = {}
        for port in model.inputs:
            array = np.zeros(tuple(port.shape), port.element_type.to_dtype())
            self._request.set_tensor(port, openvino.Tensor(array, shared_memory=True))
            self._inputs[port.any_name] = array

    def infer(self, feed: Mapping[str, Any]) -> None:
        """Run a batch; its arrays have the shapes that the model was compiled for."""
        for name, values in feed.items():
            np.copyto(self._inputs[name], values)
        self._request.infer(share_outputs=True)

    def output(self, output: int | str) -> Logits:
        """Return an output of the last batch, by its number or name."""
        tensor = self._request.get_output_tensor if isinstance(output, int) else self._request.get_tensor
        # A copy, since the request owns the output and will write into it again.
        return np.array(tensor(output).data, np.float32)


class _Compiled:
    """The graph compiled for one length, and the requests that are not in use."""

    def __init__(self, model: Any) -> None:
        self.model = model
        # append and pop of a deque are atomic; there are never more requests than threads at once.
        self.idle: deque[InferRequest] = deque()

    def run(self, feed: Mapping[str, Any], output: int = 0) -> Logits:
        try:
            request = self.idle.pop()
        except IndexError:
            request = InferRequest(self.model)
        try:
            request.infer(feed)
            return request.output(output)
        finally:
            self.idle.append(request)


class OpenVinoSession:
    """A session that pads to prepared lengths, each of which is compiled when it is first met.

    What a text is padded to never depends on what has been compiled: its answer is the same at any time.
    """

    name = "openvino"

    def __init__(
        self,
        core: Any,
        graph: Path,
        *,
        version: str,
        threads: int,
        lengths: Lengths,
        store: _Store | None = None,
    ) -> None:
        self._core = core
        self._graph = graph
        self._settings = properties(threads)
        self._lengths = lengths
        self._store = store
        self._compiled: dict[int, _Compiled] = {}
        self._compiling = threading.Lock()
        self.version = version
        model = core.read_model(str(graph))
        self._mask_id = openvino_masks.mask_id(model)
        # The encoder first: the head is cut off the nodes that it starts from.
        self._model = model if self._mask_id is None else openvino_masks.encoder(model)
        self._head = None if self._mask_id is None else self._compiled_for(openvino_masks.head(model))
        for result in self._model.get_results()[1:]:  # what other programs read of the graph
            self._model.remove_result(result)
        self._compile(lengths.usual)  # which shows whether OpenVINO takes the graph

    def prepare(self) -> None:
        """Compile the lengths that are not compiled yet and most texts have."""
        try:
            for length in self._lengths.warm:
                self._compile(length)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed: {error}", where=self._graph.name) from error

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
        head = self._head  # first, so that a thread which closes meanwhile leaves both parts or none
        length = input_ids.shape[1]
        try:
            compiled = self._compiled.get(length) or self._compile(length)
            if len(input_ids) == 1:
                feed = {"input_ids": input_ids, "attention_mask": attention_mask}
                return self._filled(head, compiled.run(feed), input_ids, output)
            rows = []
            for i in range(len(input_ids)):
                one = input_ids[i : i + 1]
                feed = {"input_ids": one, "attention_mask": attention_mask[i : i + 1]}
                rows.append(self._filled(head, compiled.run(feed), one, output))
        except (RuntimeError, TypeError, ValueError) as error:
            raise EngineError(f"OpenVINO failed: {error}", where=self._graph.name) from error
        return np.concatenate(rows)

    def _filled(self, head: _Compiled | None, found: Logits, input_ids: Ids, output: int) -> Logits:
        """Return what the head makes of the states of a text's masks; what was found where there is none."""
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
            self._core = self._model = None

    def _compile(self, length: int) -> _Compiled:
        with self._compiling:
            if length in self._compiled:
                return self._compiled[length]
            store = self._store
            model = None if store is None else store.load(opened(self._core), length, self._settings)
            if model is None:
                compiled = self._compiled_for(self._shaped(length))
                if store is not None:
                    store.save(compiled.model, length, self._settings)
            else:
                compiled = _Compiled(model)
            self._compiled[length] = compiled
        _return_freed_memory()
        return compiled

    def _shaped(self, length: int) -> Any:
        # A clone shares its weights, which are mapped from the file. Were the file read again, they would be
        # mapped again, and count as resident once for each length (59 MB more with three).
        model = opened(self._model).clone()
        model.reshape({name: [1, length] for name in ("input_ids", "attention_mask")})
        return model

    def _compiled_for(self, model: Any) -> _Compiled:
        settings = self._settings if self._store is None else {**self._settings, **_WITHOUT_WEIGHTS}
        return _Compiled(opened(self._core).compile_model(model, "CPU", settings))


def _return_freed_memory() -> None:
    """Have glibc give the system back the 8 MB that compiling freed; other C libraries do so themselves."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


class _Store:
    """Compiled lengths of a bundle's own files, kept from one opening to the next."""

    def __init__(self, kept: CompiledGraphs, weights: Path, build: str) -> None:
        self._kept = kept
        self._weights = weights
        self._build = build

    def load(self, core: Any, length: int, settings: Mapping[str, str]) -> Any | None:
        """Return the compiled model of a length; None where it is not kept, or OpenVINO refuses it."""
        content = self._kept.read(self._key(length, settings))
        if content is None:
            return None
        settings = {**settings, **_WITHOUT_WEIGHTS, "WEIGHTS_PATH": str(self._weights)}
        try:
            return core.import_model(io.BytesIO(content), "CPU", settings)
        except RuntimeError as error:
            logger.warning("OpenVINO does not take what it compiled before (%s); it compiles anew", error)
            return None

    def save(self, model: Any, length: int, settings: Mapping[str, str]) -> None:
        """Keep the compiled model of a length; a warning says so where OpenVINO does not give it away."""
        try:
            content = model.export_model().getvalue()
        except RuntimeError as error:
            logger.warning("cannot keep what OpenVINO compiled (%s); it is compiled again next time", error)
            return
        self._kept.write(self._key(length, settings), content)

    def _key(self, length: int, settings: Mapping[str, str]) -> dict[str, str]:
        return {"engine": "openvino", "build": self._build, "length": str(length), **settings}


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


def open(
    folder: Path, *, threads: int, lengths: Lengths, compiled: CompiledGraphs | None = None
) -> OpenVinoSession:
    """Load ``openvino_model.xml`` and compile it for the length that most texts have.

    Without that file, ``model.onnx`` is read; weights beside it are mapped as those of the other are. What is
    compiled is kept in ``compiled``, of a bundle with files of its own: OpenVINO reads weights that were left
    out of an exported model from no other. Raises UnavailableError: OpenVINO is not installed; EngineError:
    it refuses the graph.
    """
    openvino = load(purpose="the engine openvino")
    build = str(openvino.__version__)
    version = build.split("-")[0]  # "2026.4.1-22345-…": the part before the dash is the release
    own = folder / OPENVINO[0]
    graph = own if own.is_file() else folder / GRAPH
    store = _Store(compiled, folder / OPENVINO[1], build) if compiled and graph == own else None
    core = openvino.Core()
    try:
        return OpenVinoSession(core, graph, version=version, threads=threads, lengths=lengths, store=store)
    except RuntimeError as error:
        raise EngineError(f"OpenVINO {version} refuses the graph: {error}", where=str(graph)) from error
