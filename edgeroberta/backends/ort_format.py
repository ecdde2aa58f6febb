"""Writes a graph in ONNX Runtime's own format, for apps whose build of ONNX Runtime has few operators.

A reduced build (https://onnxruntime.ai/docs/build/custom.html) reads this format alone, and has only the
operators and types that a list names. It optimizes nothing when it opens a graph, so what is written is the
graph as ONNX Runtime would run it. The converter's other form, ``*.with_runtime_opt.ort``, leaves
optimizations to the device and is not written: an int8 encoder takes 1.4 times the time without them, and
does not open with them (1.32, x86).
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeroberta.errors import EngineError
from edgeroberta.runtime.onnxruntime import lean_options, load
from edgeroberta.storage.artifact import write_text
from edgeroberta.storage.files import GRAPH, OPERATORS, ORT_FORMAT

_HEAD = "# Operators and types of {graph}: build.py --include_ops_by_config, ONNX Runtime {version}\n"
#: What the converter of ONNX Runtime leaves out as well: it would fit the graph to x86.
_OF_ONE_PROCESSOR = ["NchwcTransformer"]


def write(folder: Path) -> tuple[str, str]:
    """Write ``model.ort`` and ``required_operators.config`` beside ``model.onnx``; returns their names.

    ``model.ort`` has the same answers and other bytes each time: ONNX Runtime writes a table of operators in
    another order (1.32). Raises EngineError: ONNX Runtime cannot write the graph.
    """
    onnxruntime = load()
    graph, operators = folder / ORT_FORMAT, folder / OPERATORS
    options = lean_options(onnxruntime, threads=1)
    options.optimized_model_filepath = str(graph)
    options.add_session_config_entry("session.save_model_format", "ORT")
    try:
        onnxruntime.InferenceSession(
            str(folder / GRAPH),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=_OF_ONE_PROCESSOR,
        )
    # ONNX Runtime's exceptions share no base of their own but Exception (1.20 to 1.32).
    except Exception as error:
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} cannot write its own format: {error}",
            where=str(folder / GRAPH),
            hint="leave it out: --set build.ort_format=false",
        ) from error
    head = _HEAD.format(graph=ORT_FORMAT, version=onnxruntime.__version__)
    write_text(operators, head + _operators(graph))
    return graph.name, operators.name


def _operators(graph: Path) -> str:
    """List the operators of a graph in ONNX Runtime's format, with the types they are given."""
    with _no_handlers(), warnings.catch_warnings(), tempfile.TemporaryDirectory() as room:
        warnings.simplefilter("ignore", ResourceWarning)  # its reader leaves the file open (1.32)
        from onnxruntime.tools.ort_format_model import create_config_from_models

        logging.getLogger("ort_format_model.utils").setLevel(logging.WARNING)
        found = Path(room) / OPERATORS
        create_config_from_models([graph], found, True)
        lines = found.read_text(encoding="utf-8").splitlines(keepends=True)
    # Comments name the folder that it was made in.
    return "".join(line for line in lines if not line.startswith("#"))


@contextmanager
def _no_handlers() -> Iterator[None]:
    """Keep ONNX Runtime's tools from setting up the logging of this process, as they do when imported."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
