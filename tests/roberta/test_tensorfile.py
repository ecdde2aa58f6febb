from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import files
from edgeroberta.roberta.checkpoint import Checkpoint

Header = dict[str, Any]


def first(header: Header, **fields: Any) -> Header:
    return {**header, "a": {**header["a"], **fields}}


#: What is made of a good header, before and after it is text; what follows is appended to the file.
CHANGED: dict[str, tuple[Callable[[Header], Header | bytes], bytes]] = {
    "nothing": (lambda header: header, b""),
    "metadata": (lambda header: {**header, "__metadata__": {"format": "pt"}}, b""),
    "a field of another writer": (lambda header: first(header, origin=1), b""),
    "metadata that is no text": (lambda header: {**header, "__metadata__": {"format": 1}}, b""),
    "metadata that is no table": (lambda header: {**header, "__metadata__": [1]}, b""),
    "bytes after the end": (lambda header: header, b"1234"),
    "two tensors in one place": (lambda header: {**header, "c": header["a"]}, b""),
    "a hole": (lambda header: {"b": header["b"]}, b""),
    "negative sizes": (lambda header: first(header, shape=[-2, -2]), b""),
    "a size that is no whole number": (lambda header: first(header, shape=[4.0]), b""),
    "a size in quotes": (lambda header: first(header, shape=["4"]), b""),
    "a size beyond 64 bits": (lambda header: first(header, shape=[1 << 70]), b""),
    "three offsets": (lambda header: first(header, data_offsets=[0, 16, 16]), b""),
    "a type that is none": (lambda header: first(header, dtype=["F32"]), b""),
    "deep nesting": (lambda header: b'{"a": ' + b"[" * 100_000, b""),
    "another encoding": (lambda header: json.dumps(header).encode("utf-16"), b""),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_file_is_refused_whenever_the_formats_own_reader_refuses_it(name, tmp_path):
    file = tmp_path / "model.safetensors"
    save_file({"a": np.ones(4, np.float32), "b": np.ones((2, 2), np.float32)}, file)
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    change, tail = CHANGED[name]
    changed = change(json.loads(content[8:start]))
    text = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[start:] + tail)
    try:
        with safe_open(file, framework="np") as reader:
            wanted = set(reader.keys())
    except SafetensorError:
        with pytest.raises(CheckpointError) as caught:
            _ = Checkpoint(tmp_path).tensors
        assert caught.value.hint
        assert len(str(caught.value)) < 500
    else:
        assert Checkpoint(tmp_path).tensors.keys() == wanted


def test_a_tensor_in_two_shards_is_refused(tmp_path):
    for shard in ("one", "two"):
        save_file({"a": np.ones(4, np.float32)}, tmp_path / f"{shard}.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / files.WEIGHTS_INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError) as caught:
        _ = Checkpoint(tmp_path).tensors
    assert str(caught.value) == (
        f"{tmp_path}/two.safetensors: a is also in one.safetensors\n"
        "  next: copy or download the file again; it is not whole"
    )
