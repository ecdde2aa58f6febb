"""Tiny bundles for TensorRT engines, in the graph forms that real ones have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_bundles
import numpy as np

ENGINES = ("tensorrt", "tensorrt-fp16", "onnxruntime")


def graph(
    file: Path,
    *,
    quantized: bool = False,
    logits: str = "FLOAT",
    ids: str = "INT64",
    external: bool = False,
    per_token: bool = False,
) -> Path:
    """Write the graph of ``fake_bundles`` with other types, with (exact) int8 nodes, or a label per token."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(1)
    table = rng.normal(size=(fake_bundles.VOCAB, len(fake_bundles.TASK.labels))).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
    ]
    if quantized:
        # 0 and 1 with a scale of 1: nothing is rounded.
        nodes += [
            helper.make_node("QuantizeLinear", ["mask", "scale", "zero"], ["mask_int8"]),
            helper.make_node("DequantizeLinear", ["mask_int8", "scale", "zero"], ["mask_float"]),
        ]
    nodes += [
        helper.make_node("Unsqueeze", ["mask_float" if quantized else "mask", "two"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sums"], keepdims=0),
        helper.make_node(
            "Cast", ["kept" if per_token else "sums"], ["logits"], to=getattr(TensorProto, logits)
        ),
    ]
    inputs = [
        helper.make_tensor_value_info(name, getattr(TensorProto, ids), ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    shape = ["batch", *(["length"] if per_token else []), table.shape[1]]
    output = helper.make_tensor_value_info("logits", getattr(TensorProto, logits), shape)
    constants = {"table": table, "one": np.array([1], np.int64), "two": np.array([2], np.int64)}
    if quantized:
        constants.update(scale=np.float32(1), zero=np.int8(0))
    made = helper.make_graph(
        nodes,
        "toy",
        inputs,
        [output],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(
        model,
        str(file),
        save_as_external_data=external,
        location=f"{file.name}_data",
        size_threshold=0 if external else 1024,
    )
    return file


def write(folder: Path, *, data: Path | None = None, engines: tuple[str, ...] = ENGINES) -> Path:
    """Write a bundle that offers both TensorRT engines and ONNX Runtime."""
    fake_bundles.write(folder, data=data)
    graph(folder / "tensorrt.onnx", quantized=True)
    graph(folder / "model_fp16.onnx", logits="FLOAT16")
    fake_bundles.seal(folder, data=data, engines=engines)
    return folder


def ids(count: int, length: int, seed: int = 0) -> tuple[Any, Any]:
    """Return random ids and a mask with padding at the end of every second row."""
    values = np.random.default_rng(seed).integers(3, fake_bundles.VOCAB, (count, length))
    mask = np.ones_like(values)
    mask[1::2, length // 2 :] = 0
    return values, mask


def expected(values: Any, mask: Any, *, per_token: bool = False) -> Any:
    """Return what the graph gives, float32."""
    rng = np.random.default_rng(1)
    table = rng.normal(size=(fake_bundles.VOCAB, len(fake_bundles.TASK.labels))).astype(np.float32)
    kept = table[values] * mask[..., None]
    return kept if per_token else kept.sum(1)
