"""Artifacts as models that can be asked: a checkpoint becomes the float graph that ``export`` would write."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.measure import subjects
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import manifest
from edgeroberta.runtime.processor import declared_safe
from edgeroberta.runtime.session import ENGINES, installed
from edgeroberta.storage.artifact import Artifact, Kind, digest_file, digest_value
from edgeroberta.storage.files import GRAPH, TOKENIZER, TOKENIZER_CONFIG

ENGINE = "onnxruntime"

#: The kinds that are models, and so have a row.
KINDS = (Kind.CHECKPOINT, Kind.GRAPH, Kind.DRAFT)


@dataclass(frozen=True)
class StageModel:
    """A folder that a measuring process can open."""

    folder: Path
    subject: str  # what opens it, see :data:`edgeroberta.measure.subjects.SUBJECTS`
    engine: str  # name of the engine
    graph: str  # digest of all that the engine and the tokenizer are given


def prepare(made: Artifact, checkpoint: Checkpoint | None, folder: Path, *, pair: bool = False) -> StageModel:
    """Make a model that can be asked of an artifact.

    ``checkpoint``: the artifact, where it is one; its float graph is written to ``folder``, and what is there
    deleted. ``pair``: whether two texts are read as one. A draft runs in ONNX Runtime if it has a graph for
    it, for TensorRT the int8 emulation graph that its goldens come from; else in the first of its engines
    that is here.
    """
    if made.kind is Kind.DRAFT:
        return _draft(made.path)
    source = made.path if checkpoint is None else _exported(checkpoint, folder, pair=pair)
    longest = Checkpoint.of(checkpoint or source).max_length
    return StageModel(source, subjects.SUBJECTS["onnx"], ENGINE, _digest(source, ENGINE, longest))


def size(made: Artifact, checkpoint: Checkpoint | None) -> int:
    """Return the bytes on disk of a model's weights or graph, and of its ``tokenizer.json``."""
    if checkpoint is None:
        engine = _engine(manifest.read(made.path).engines) if made.kind is Kind.DRAFT else ENGINE
        return subjects.engine_bytes(made.path, engine)
    tokenizer = made.path / TOKENIZER
    return checkpoint.weight_bytes + (tokenizer.stat().st_size if tokenizer.is_file() else 0)


def _exported(checkpoint: Checkpoint, folder: Path, *, pair: bool) -> Path:
    from edgeroberta.roberta.graph import write_float

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_float(checkpoint, folder / GRAPH, pair=pair)
    checkpoint.copy_files(folder)
    return folder


def _draft(folder: Path) -> StageModel:
    facts = manifest.read(folder)
    engine = _engine(facts.engines)
    graph = _digest(folder, engine, facts.max_length)
    if facts.cascade is not None:  # which answers by more than the graph of its last tier
        graph = digest_value([engine, facts.digest])
    return StageModel(folder, subjects.SUBJECTS["bundle"], engine, graph)


def _engine(offered: tuple[str, ...]) -> str:
    here = [name for name in offered if name in ENGINES and not ENGINES[name].on_device and installed(name)]
    return ENGINE if ENGINE in offered or not here else here[0]


def _digest(folder: Path, engine: str, max_length: int) -> str:
    graphs = [*ENGINES[engine].files]
    graphs += [f"{name.removesuffix('.onnx')}.onnx_data" for name in graphs if name.endswith(".onnx")]
    files = [folder / name for name in (*graphs, TOKENIZER, TOKENIZER_CONFIG)]
    contents = {file.name: digest_file(file) for file in files if file.is_file()}
    # ONNX Runtime takes other kernels, on some processors, for a graph not declared safe.
    return digest_value([engine, max_length, declared_safe(folder), contents])
