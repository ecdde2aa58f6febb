"""Folders in which another program, such as Optimum, left a graph in place of weights: which file it is."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import files
from edgeroberta.runtime import onnx_outputs
from edgeroberta.runtime.manifest import MANIFEST_FILE
from edgeroberta.storage.files import CONFIG, OPENVINO

#: What ends a graph's name, and the engine that runs it.
ENGINES = {".onnx": "onnxruntime", Path(OPENVINO[0]).suffix: "openvino"}
#: Where graphs are: beside ``config.json``, or in these folders below it (sentence-transformers, the Hub).
_FOLDERS = ("", "onnx", "openvino")
#: The tokenizer as graphs of OpenVINO's, which optimum-intel writes beside the model.
_TOKENIZERS = ("openvino_tokenizer", "openvino_detokenizer")


def graphs(folder: Path) -> tuple[Path, ...]:
    """List the graphs of a folder."""
    found = (file for name in _FOLDERS for file in sorted((folder / name).glob("*")))
    return tuple(file for file in found if _is_graph(file) and file.is_file())


def is_export(place: Path) -> bool:
    """Tell whether a place is a graph, or a folder that has graphs and no weights, and is no bundle."""
    if not place.is_dir():
        return place.is_file() and _is_graph(place)
    names = (files.WEIGHTS, files.WEIGHTS_INDEX, files.PICKLE, files.PICKLE_INDEX, MANIFEST_FILE)
    return not any((place / name).is_file() for name in names) and bool(graphs(place))


def choose(place: Path, *, where: str) -> tuple[Path, Path]:
    """Return the graph that a place means, and the folder with its config and tokenizer.

    ``place``: the folder, or one of its graphs. ``where``: what errors call it.
    Raises CheckpointError: there is no graph, or there are several and none is named.
    """
    if place.is_file() and _is_graph(place):
        above = place.parent.parent
        beside = (place.parent / CONFIG).is_file() or not (above / CONFIG).is_file()
        return place, place.parent if beside else above
    if (place / MANIFEST_FILE).is_file():
        raise CheckpointError(
            "this is a bundle, whose rows are in a table of its own",
            where=where,
            hint=f"edgeroberta bench {place}",
            code="checkpoint.graph-missing",
        )
    found = graphs(place) if place.is_dir() else ()
    if not found:
        what = "no graph here (*.onnx, or OpenVINO's *.xml)" if place.exists() else "there is no such folder"
        raise CheckpointError(
            what,
            where=where,
            hint="name the folder, or the graph in it"
            if place.is_file()
            else f"optimum-cli export onnx -m MODEL --task TASK {place}",
            code="checkpoint.graph-missing",
        )
    if len(found) > 1:
        names = ", ".join(file.relative_to(place).as_posix() for file in found)
        raise CheckpointError(
            f"{len(found)} graphs are in this folder ({names}), and none of them is named",
            where=where,
            hint=f"name one: {found[0]}",
            code="checkpoint.graph-choice",
        )
    return found[0], place


def refuse(place: Path) -> None:
    """Refuse a graph where weights are needed. Raises CheckpointError."""
    if is_export(place):
        raise CheckpointError(
            "an exported graph, which has no weights that could be trained, pruned or quantized here",
            where=str(place),
            hint="name the checkpoint that it was exported from; to measure it as it is: "
            f"edgeroberta bench BUNDLE --beside {place}",
            code="checkpoint.exported",
        )


def ports(graph: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of what a graph takes and gives; none where the file is no graph."""
    if graph.suffix == ".onnx":
        return tuple(onnx_outputs.inputs(graph)), tuple(onnx_outputs.names(graph))
    try:
        layers = list(ET.parse(graph).getroot().iter("layer"))
    except (ET.ParseError, OSError):
        return (), ()
    given = (port for layer in layers if layer.get("type") == "Parameter" for port in layer.iter("port"))
    results = (layer for layer in layers if layer.get("type") == "Result")
    # Files of before the attribute was there tell what ports are called, and not which are results.
    ports = (port for layer in layers for port in layer.iter("port"))
    return _names(given, "names"), _names(results, "output_names") or _names(ports, "names")


def _names(parts: Iterable[ET.Element], attribute: str) -> tuple[str, ...]:
    return tuple(name for part in parts for name in part.get(attribute, "").split(",") if name)


def _is_graph(file: Path) -> bool:
    return file.suffix in ENGINES and file.stem not in _TOKENIZERS
