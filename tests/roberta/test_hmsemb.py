from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta.hmsemb import read

ARCH = {
    "hidden": 4,
    "layers": 2,
    "heads": 2,
    "intermediate": 8,
    "vocab": 6,
    "max_positions": 10,
    "type_vocab": 2,
    "layer_norm_eps": 1e-12,
    "position_offset": 2,
}
GROUP = 2
TOKENIZER = b'{"version": "1.0"}'


def _entries() -> list[dict[str, Any]]:
    shapes = [
        ("word_emb", [6, 4]),
        ("pos_emb", [10, 4]),
        ("type_emb", [2, 4]),
        ("emb_ln.w", [4]),
        ("emb_ln.b", [4]),
    ]
    for layer in range(2):
        for name, rows, columns in (("qkv", 12, 4), ("ao", 4, 4), ("f1", 8, 4), ("f2", 4, 8)):
            shapes += [(f"l{layer}.{name}.w", [rows, columns]), (f"l{layer}.{name}.b", [rows])]
        shapes += [(f"l{layer}.{name}.{part}", [4]) for name in ("aln", "fln") for part in "wb"]
    headers = []
    for name, shape in shapes:
        packed = name == "word_emb" or (name[0] == "l" and len(shape) == 2)
        size = int(np.prod(shape))
        length = size + 4 * size // GROUP if packed else 4 * size
        entry = {"name": name, "dtype": "i8" if packed else "f32", "shape": shape, "len": length}
        headers.append({**entry, "group": GROUP if packed else 0})
    return headers


def _write(
    path: Path, change: Callable[[dict[str, Any]], None] = lambda header: None
) -> dict[str, np.ndarray]:
    """Write a small pack, its header changed as told; return what its tensors stand for."""
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}
    body = b""
    for entry in _entries():
        shape = entry["shape"]
        if entry["dtype"] == "i8":
            values = rng.integers(-127, 128, size=shape).astype(np.int8)
            scales = rng.random((shape[0], shape[1] // GROUP)).astype(np.float32)
            body += values.tobytes() + scales.tobytes()
            tensors[entry["name"]] = values * np.repeat(scales, GROUP, axis=1)
        else:
            tensors[entry["name"]] = rng.normal(size=shape).astype(np.float32)
            body += tensors[entry["name"]].tobytes()
    meta = {"model": "someone/encoder", "revision": "abc", "max_length": 8}
    header: dict[str, Any] = {"format": 1, "meta": meta, "arch": dict(ARCH), "tokenizer_len": len(TOKENIZER)}
    header["tensors"] = _entries()
    change(header)
    encoded = json.dumps(header).encode()
    path.write_bytes(b"HMSEMB01" + struct.pack("<Q", len(encoded)) + encoded + TOKENIZER + body)
    return tensors


def test_tensors_are_multiplied_out_under_their_hugging_face_names(tmp_path):
    expected = _write(tmp_path / "x.hmsemb")
    pack = read(tmp_path / "x.hmsemb")
    assert all(tensor.dtype == np.float32 for tensor in pack.weights.values())
    pairs = {
        "embeddings.word_embeddings.weight": expected["word_emb"],
        "embeddings.position_embeddings.weight": expected["pos_emb"],
        "embeddings.token_type_embeddings.weight": expected["type_emb"],
        "embeddings.LayerNorm.bias": expected["emb_ln.b"],
        "encoder.layer.1.attention.self.query.weight": expected["l1.qkv.w"][:4],
        "encoder.layer.1.attention.self.key.weight": expected["l1.qkv.w"][4:8],
        "encoder.layer.0.attention.self.value.bias": expected["l0.qkv.b"][8:],
        "encoder.layer.0.attention.output.dense.weight": expected["l0.ao.w"],
        "encoder.layer.0.attention.output.LayerNorm.weight": expected["l0.aln.w"],
        "encoder.layer.1.intermediate.dense.weight": expected["l1.f1.w"],
        "encoder.layer.1.output.dense.weight": expected["l1.f2.w"],
        "encoder.layer.1.output.LayerNorm.bias": expected["l1.fln.b"],
    }
    for name, tensor in pairs.items():
        np.testing.assert_allclose(pack.weights[name], tensor, rtol=1e-6, err_msg=name)


def test_the_weights_are_all_a_hugging_face_encoder_has(tmp_path):
    import torch
    from transformers import RobertaConfig, RobertaModel

    _write(tmp_path / "x.hmsemb")
    pack = read(tmp_path / "x.hmsemb")
    model = RobertaModel(RobertaConfig(**pack.config), add_pooling_layer=False)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in pack.weights.items()}
    model.load_state_dict(tensors, strict=True)


def test_the_header_and_the_tokenizer_come_along(tmp_path):
    _write(tmp_path / "x.hmsemb")
    pack = read(tmp_path / "x.hmsemb")
    assert pack.tokenizer == TOKENIZER
    assert (pack.model, pack.revision, pack.max_length) == ("someone/encoder", "abc", 8)
    assert pack.config["num_hidden_layers"] == 2
    assert pack.config["pad_token_id"] == 1
    assert pack.config["max_position_embeddings"] == 10


@pytest.mark.parametrize("kept", [0, 7, 8, 15, 16, 500, -1])
def test_a_truncated_pack_is_refused(tmp_path, kept):
    path = tmp_path / "x.hmsemb"
    _write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    length = len(whole[:kept])
    with pytest.raises(CheckpointError) as caught:
        read(path)
    if kept in (0, 7):
        reason = "not an .hmsemb file: it does not begin with HMSEMB01"
    elif kept == -1:
        reason = f"truncated: {length:,} bytes where {len(whole):,} belong"
    else:
        reason = f"truncated: {length:,} bytes, the header is not complete"
    assert str(caught.value) == f"{path}: {reason}"
    assert caught.value.exit_code == 2


def test_bytes_after_the_last_tensor_are_refused(tmp_path):
    path = tmp_path / "x.hmsemb"
    _write(path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(CheckpointError, match=f"too long: {size + 1:,} bytes where {size:,} belong"):
        read(path)


def _set(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        place: Any = header
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("format", value=2), "format 2, only format 1 is known"),
        (_set("arch", "vocab", value=7), "tensor 'word_emb' is (6, 4), the header's architecture has (7, 4)"),
        (_set("arch", "layers", value=3), "tensor 'l2.qkv.w' is None, the header's architecture has (12, 4)"),
        (_set("arch", "layers", value=1), "tensor 'l1.qkv.w' is (12, 4), the header's architecture has None"),
        (
            _set("tensors", 0, "group", value=3),
            "tensor 'word_emb': dtype 'i8' in groups of 3 does not fit shape (6, 4)",
        ),
        (
            _set("tensors", 0, "dtype", value="i4"),
            "tensor 'word_emb': dtype 'i4' in groups of 2 does not fit shape (6, 4)",
        ),
        (_set("tensors", 0, "group", value=4), "tensor 'word_emb' has 72 bytes where 48 belong"),
        (_set("arch", value={}), "the header lacks or misuses a field (KeyError: 'hidden')"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path, change, message):
    path = tmp_path / "x.hmsemb"
    _write(path, change)
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_tensor_that_is_not_finite_is_refused(tmp_path):
    path = tmp_path / "x.hmsemb"
    _write(path)
    path.write_bytes(path.read_bytes()[:-4] + np.float32("nan").tobytes())
    with pytest.raises(CheckpointError, match=r"tensor 'l1\.fln\.b' holds NaN or infinity$"):
        read(path)


def test_a_header_that_is_not_json_is_refused(tmp_path):
    path = tmp_path / "x.hmsemb"
    path.write_bytes(b"HMSEMB01" + struct.pack("<Q", 3) + b"{no")
    with pytest.raises(CheckpointError, match="the header is not valid JSON"):
        read(path)


def test_a_missing_pack_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be read \(No such file or directory\)$"):
        read(tmp_path / "x.hmsemb")
