"""Folders as Optimum exports models: a graph beside config and tokenizer, and nothing of ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def export(bundle: Path, folder: Path, *graphs: str) -> Path:
    """Copy what Optimum reads of a bundle, which it opens as one of its own folders."""
    folder.mkdir(parents=True)
    for name in (*FILES, *(graphs or ("model.onnx",))):
        if (bundle / name).is_file():
            shutil.copy(bundle / name, folder / name)
    return folder


def of_toy(toy: Path, folder: Path) -> Path:
    """Export a toy of ``fake_bundles``, whose config lacks most of what Optimum's has."""
    export(toy, folder)
    table = {str(number): label for number, label in enumerate(fake_bundles.TASK.labels)}
    edit_config(folder, id2label=table, pad_token_id=1, max_position_embeddings=514, model_type="electra")
    return folder


def edit_config(folder: Path, **fields: Any) -> None:
    """Set fields of ``config.json``; None takes one out."""
    file = folder / "config.json"
    changed = {**json.loads(file.read_text(encoding="utf-8")), **fields}
    kept = {name: value for name, value in changed.items() if value is not None}
    file.write_text(json.dumps(kept), encoding="utf-8")


def permute(folder: Path, order: Sequence[int]) -> None:
    """Give the labels of a folder another order, in the graph and in its config."""
    file = folder / "model.onnx"
    model = onnx.load(file)
    (logits,) = model.graph.output
    last = model.graph.node[-1]
    last.output[0] = "before"
    model.graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), "order"))
    model.graph.node.append(helper.make_node("Gather", ["before", "order"], [logits.name], axis=-1))
    onnx.save(model, file)
    names = list(json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"].values())
    turned = [names[number] for number in order]
    edit_config(
        folder,
        id2label={str(number): name for number, name in enumerate(turned)},
        label2id={name: number for number, name in enumerate(turned)},
    )


def write_graph(
    file: Path,
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    outputs: Sequence[str] = ("logits",),
    *,
    node: Callable[[], onnx.NodeProto] | None = None,
) -> None:
    """Write a graph that gives its last input as each of its outputs, or what ``node`` makes."""
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs]
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "length"]) for name in outputs]
    nodes = [node()] if node else [
        helper.make_node("Cast", [inputs[-1]], [name], to=TensorProto.FLOAT) for name in outputs
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "graph", given, made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
