"""Writes what transformers.js opens a bundle by, beside the files that other programs read.

The library (``@huggingface/transformers``) looks for a graph in the folder ``onnx``, under a name that tells
its type of numbers, and takes the type from ``config.json`` where the program names none (version 4.3.2,
``src/utils/dtypes.js``, ``src/models/session.js``). All else it reads where it is: ``config.json``,
``tokenizer.json``, ``tokenizer_config.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeroberta.backends import onnxruntime, wants_half_graph
from edgeroberta.errors import RecipeError
from edgeroberta.roberta.onnx_builder import external_data
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import link_or_copy, write_json
from edgeroberta.storage.files import CONFIG, GRAPH, TOKENIZER_CONFIG
from edgeroberta.targets import Target

FOLDER = "onnx"
#: The field of ``config.json`` that the library reads its settings from.
FIELD = "transformers.js_config"
#: Of a bundle's precision: the library's name for it, and what it looks for. Without ``dtype`` it would ask
#: for q8 in WebAssembly and for fp32 everywhere else, whatever there is.
DTYPES = {"int8": ("q8", "model_quantized.onnx"), "fp32": ("fp32", GRAPH)}


def require(engines: Sequence[str], target: Target) -> None:
    """Refuse the layout where a bundle for these engines has no graph for JavaScript; RecipeError."""
    if "onnxruntime" not in engines:
        raise RecipeError(
            f"the web layout is ONNX Runtime's graph, and engines names {', '.join(engines)} alone",
            where="build.engines",
            hint="--set build.engines=[onnxruntime], or --set build.layout=plain",
        )
    if wants_half_graph(target.engines):
        raise RecipeError(
            f"for the target {target.name} model.onnx imitates what TensorRT or CUDA computes, which is no "
            "graph for JavaScript",
            where="build.layout",
            hint="make a second bundle: --target web",
        )


def write(folder: Path, *, precision: str, max_length: int) -> dict[str, str]:
    """Add the layout to a bundle that has ``model.onnx``, ``config.json`` and a tokenizer.

    ``precision``: ``int8`` or ``fp32``. ``max_length``: longest input in tokens, to which the library cuts
    texts by what ``tokenizer_config.json`` says. Returns the second names of files, path below the folder
    to the file's own name, which the manifest keeps as ``links``. A graph whose weights lie beside it names
    their file, so it is written anew where theirs has another name; it is small then.
    """
    dtype, name = DTYPES[precision]
    graph = folder / FOLDER / name
    graph.parent.mkdir()
    own, moved = external_data(folder / GRAPH), external_data(graph)
    settings: dict[str, object] = {"dtype": dtype}
    links: dict[str, str] = {}
    if own.is_file():
        settings["use_external_data_format"] = True
        links[f"{FOLDER}/{moved.name}"] = own.name
    if own.is_file() and own.name != moved.name:
        onnxruntime.refer(folder / GRAPH, graph, moved.name)
    else:
        links[f"{FOLDER}/{name}"] = GRAPH
    for link, file in links.items():
        link_or_copy(folder / file, folder / link)
    _add(folder / CONFIG, {FIELD: settings})
    _add(folder / TOKENIZER_CONFIG, {"model_max_length": max_length})
    return dict(sorted(links.items()))


def _add(file: Path, fields: dict[str, object]) -> None:
    found = jsontext.loads(file.read_bytes()) if file.is_file() else {}
    write_json(file, {**found, **fields})
