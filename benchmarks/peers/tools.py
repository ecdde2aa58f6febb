"""The other tools that label texts: their environments, their forms of a checkpoint, and their rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import rounds
from benchmarks.peers.environments import environment
from benchmarks.peers.forms import INSTRUCTIONS, exported, made
from edgeroberta.errors import EdgeRobertaError

#: The row that all are compared with: what a user has who installs nothing for speed.
PIPELINE = "transformers-pipeline"
OPTIMUM = "optimum-int8"


@dataclass(frozen=True)
class Checkpoint:
    """What the tools make their own forms of, and where these are kept."""

    folder: Path  # fine-tuned, as Hugging Face writes it
    cache: Path  # of environments and of forms
    max_length: int  # tokens of a text that are kept
    calibration: Sequence[str]  # training texts, for a tool whose int8 is static


@dataclass(frozen=True)
class Tool:
    """Another tool, or one of its forms.

    Attributes:
        name: Key of its row.
        title: What the table calls it.
        environment: Key of :data:`benchmarks.peers.environments.REQUIREMENTS`.
        opener: Function of :mod:`benchmarks.peers.contestants`.
        model: Makes the tool's form with the environment's interpreter; returns the opener's arguments.
    """

    name: str
    title: str
    environment: str
    opener: str
    model: Callable[[Checkpoint, Path], Mapping[str, Any]]

    def entry(self, checkpoint: Checkpoint) -> rounds.Entry:
        """Make environment and form; one that cannot be made is a contestant with an error."""
        python, arguments, error = Path(), {}, None
        try:
            python = environment(self.environment, cache=checkpoint.cache)
            arguments = {**self.model(checkpoint, python), "max_length": checkpoint.max_length}
        except EdgeRobertaError as failure:
            error = str(failure)
        opener = f"benchmarks.peers.contestants:{self.opener}"
        return rounds.Entry(self.name, self.title, python, opener, arguments, error=error)


def _itself(checkpoint: Checkpoint, python: Path) -> Mapping[str, Any]:
    return {"model": str(checkpoint.folder)}


def _optimum_float(checkpoint: Checkpoint, python: Path) -> Mapping[str, Any]:
    graph, _ = exported(checkpoint.folder, python, checkpoint.cache)
    return {"model": str(graph), "file_name": "model.onnx"}


def _optimum_int8(checkpoint: Checkpoint, python: Path) -> Mapping[str, Any]:
    _, graph = exported(checkpoint.folder, python, checkpoint.cache)
    return {"model": str(graph), "file_name": "model_quantized.onnx"}


def _openvino(checkpoint: Checkpoint, python: Path) -> Mapping[str, Any]:
    arguments, texts = [str(checkpoint.max_length)], json.dumps(checkpoint.calibration)
    return {"model": str(made("openvino", checkpoint.folder, python, checkpoint.cache, arguments, texts))}


def _ctranslate2(checkpoint: Checkpoint, python: Path) -> Mapping[str, Any]:
    return {"model": str(made("ctranslate2", checkpoint.folder, python, checkpoint.cache, [], ""))}


def _cross_encoder(checkpoint: Checkpoint, python: Path) -> Mapping[str, Any]:
    form = made("cross_encoder", checkpoint.folder, python, checkpoint.cache, [INSTRUCTIONS], "")
    return {"model": str(form), "file_name": f"onnx/model_qint8_{INSTRUCTIONS}.onnx"}


def _llama_cpp(checkpoint: Checkpoint, python: Path) -> Mapping[str, Any]:
    return {"model": str(made("llama_cpp", checkpoint.folder, python, checkpoint.cache, [], ""))}


FLOAT = (
    Tool("transformers-padded", "transformers, fp32, all texts padded", "transformers", "padded", _itself),
    Tool(PIPELINE, "transformers pipeline, fp32", "transformers", "transformers_pipeline", _itself),
    Tool("optimum-fp32", "Optimum ORTModel + pipeline, fp32", "optimum", "optimum", _optimum_float),
)
INT8 = (
    Tool(
        OPTIMUM, f"Optimum ORTModel + pipeline, dynamic int8 ({INSTRUCTIONS}, per channel)",
        "optimum", "optimum", _optimum_int8,
    ),
    Tool(
        "optimum-intel-int8", "Optimum OVModel + pipeline, static int8 (OVQuantizer, NNCF)",
        "optimum-intel", "optimum_openvino", _openvino,
    ),
    Tool(
        "onnx-qint8", "sentence-transformers CrossEncoder, `onnx-qint8`",
        "sentence-transformers", "cross_encoder", _cross_encoder,
    ),
    Tool(
        "ctranslate2-int8", "CTranslate2 encoder, int8, head in numpy",
        "ctranslate2", "ctranslate2", _ctranslate2,
    ),
    Tool("llama-cpp-q8_0", "llama.cpp, q8_0", "llama-cpp", "llama_cpp", _llama_cpp),
)  # fmt: skip
TOOLS = (*FLOAT, *INT8)
