"""Runs a graph that another program exported as a session of a bundle: the same ids in, the same outputs out.

ONNX Runtime gets every length as it is, as it does of a bundle. OpenVINO gets the bundle's fixed lengths,
text by text, and the same settings: what is compared is the graphs, not two ways to call them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError
from edgeroberta.measure.exported import EMBEDDINGS, IDS, MASK, TYPES, ExportedModel
from edgeroberta.runtime import onnxruntime, openvino
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import Ids, Logits
from edgeroberta.tasks import Problem, masked

Feed = Mapping[str, npt.NDArray[Any]]


class OnnxGraph:
    """A graph in ONNX Runtime, opened as Optimum opens it, on one pool of threads."""

    def __init__(self, model: ExportedModel, *, threads: int) -> None:
        package = onnxruntime.load()
        self.version = str(package.__version__)
        self._outputs = list(model.outputs)
        try:
            self._session = package.InferenceSession(
                str(model.graph),
                onnxruntime.lean_options(package, threads),
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # its exceptions share no base of their own but Exception
            raise EngineError(
                f"ONNX Runtime {self.version} refuses the graph: {error}", where=model.name
            ) from error
        self._types = {
            each.name: np.int32 if "int32" in each.type else np.int64 for each in self._session.get_inputs()
        }

    def padded_length(self, length: int) -> int:
        """Return ``length``."""
        return length

    def run(self, feed: Feed) -> list[npt.NDArray[Any]]:
        """Return the outputs of a batch."""
        typed = {name: values.astype(self._types[name], copy=False) for name, values in feed.items()}
        found: list[npt.NDArray[Any]] = self._session.run(self._outputs, typed)
        return found


class OpenVinoGraph:
    """A graph in OpenVINO, compiled for each length when it is first met."""

    def __init__(self, model: ExportedModel, lengths: Lengths, *, threads: int) -> None:
        package = openvino.load(purpose="the engine openvino")
        self.version = str(package.__version__).split("-")[0]
        self._model, self._lengths = model, lengths
        self._settings = openvino.properties(threads)
        self._requests: dict[int, openvino.InferRequest] = {}
        self._core = package.Core()
        try:
            self._graph = self._core.read_model(str(model.graph))
            self._request(lengths.usual)
        except RuntimeError as error:
            raise EngineError(
                f"OpenVINO {self.version} refuses the graph: {error}", where=model.name
            ) from error

    def padded_length(self, length: int) -> int:
        """Return the fixed length that an input is padded to."""
        return self._lengths.padded(length)

    def run(self, feed: Feed) -> list[npt.NDArray[Any]]:
        """Return the outputs of a batch, run text by text."""
        request = self._request(feed[IDS].shape[1])
        found = []
        for row in range(len(feed[IDS])):
            request.infer({name: values[row : row + 1] for name, values in feed.items()})
            found.append([request.output(name) for name in self._model.outputs])
        return [np.concatenate(each) for each in zip(*found, strict=True)]

    def _request(self, length: int) -> openvino.InferRequest:
        if length not in self._requests:
            shaped = self._graph.clone()
            shaped.reshape({name: [1, length] for name in self._model.inputs})
            compiled = self._core.compile_model(shaped, "CPU", self._settings)
            self._requests[length] = openvino.InferRequest(compiled)
        return self._requests[length]


class ExportedSession:
    """A session of :class:`edgeroberta.runtime.Runtime` on a graph of another program."""

    def __init__(self, model: ExportedModel, lengths: Lengths, *, threads: int) -> None:
        self._model = model
        self._graph: OnnxGraph | OpenVinoGraph = (
            OpenVinoGraph(model, lengths, threads=threads)
            if model.engine == "openvino"
            else OnnxGraph(model, threads=threads)
        )
        self.name, self.version = model.engine, self._graph.version
        self._read = _READERS.get(model.task.problem, _labelled)

    def padded_length(self, length: int) -> int:
        """Return the length that an input of ``length`` tokens is to be padded to."""
        return self._graph.padded_length(length)

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch; see :class:`edgeroberta.runtime.session.Session`."""
        return self._run(input_ids, attention_mask, self._read)

    def log_probabilities(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Run one batch; see :class:`edgeroberta.runtime.session.MaskSession`."""
        return self._run(input_ids, attention_mask, _at_masks)

    def close(self) -> None:
        """Leave it to the process's end."""

    def _run(self, ids: Ids, mask: Ids, read: Callable[..., Logits]) -> Logits:
        feed = {IDS: ids, MASK: mask}
        if TYPES in self._model.inputs:
            feed[TYPES] = _types(ids, self._model.separator_id)
        try:
            found = self._graph.run(feed)
        except Exception as error:  # of either engine
            raise EngineError(f"{self.name} failed: {error}", where=self._model.name) from error
        return np.asarray(read(self._model, found, ids, mask), np.float32)


def _types(ids: Ids, separator: int | None) -> Ids:
    """Return token types: 1 behind the first separator of a pair, else 0."""
    if separator is None:
        return np.zeros_like(ids)
    behind = np.cumsum(ids == separator, axis=1) - (ids == separator)
    return (behind > 0).astype(ids.dtype)


def _labelled(model: ExportedModel, found: Any, ids: Ids, mask: Ids) -> Any:
    if found[0].shape[-1] != len(model.order):  # numbers beyond them would be left out, and nobody know it
        given, named = found[0].shape[-1], len(model.order)
        raise EngineError(
            f"the graph gives {given} numbers for the {named} labels of its config.json",
            where=model.name,
            hint="export it again with optimum-cli",
        )
    return found[0][..., list(model.order)]


def _sides(model: ExportedModel, found: Any, ids: Ids, mask: Ids) -> Any:
    return np.stack(found, axis=-1)


def _at_masks(model: ExportedModel, found: Any, ids: Ids, mask: Ids) -> Any:
    logits = found[0][ids == model.task.mask_id].astype(np.float32)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _best(model: ExportedModel, found: Any, ids: Ids, mask: Ids) -> Any:
    return masked.pack(_at_masks(model, found, ids, mask), model.task.num_outputs // 2)


def _embeddings(model: ExportedModel, found: Any, ids: Ids, mask: Ids) -> Any:
    if model.outputs == (EMBEDDINGS,):
        return found[0]
    states, there = found[0].astype(np.float32), mask[:, :, None].astype(np.float32)
    if model.task.pooling == "cls":
        made = states[:, 0]
    elif model.task.pooling == "max":
        made = np.where(there > 0, states, -np.inf).max(axis=1)
    else:
        made = (states * there).sum(axis=1) / there.sum(axis=1)
    if model.task.normalize:
        made = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
    return made


#: What makes a session's outputs of a graph's, where they are not a column for each label.
_READERS: Mapping[Problem, Callable[..., Any]] = {
    Problem.SPANS: _sides,
    Problem.MASKED: _best,
    Problem.EMBEDDING: _embeddings,
}
