"""Reads what an ONNX file takes and gives, and takes outputs out of it, without the package onnx.

ONNX Runtime computes every output of a graph, whichever are asked for (1.32). One that other programs read
and that is dear is better not in the graph. Only the list of outputs changes; ONNX Runtime itself takes out
the nodes that nobody reads then. The file is a protobuf message (onnx.proto: ``ModelProto.graph`` is field 7,
``GraphProto.initializer`` field 5, ``input`` field 11, ``output`` field 12, ``ValueInfoProto.name`` field 1,
``TensorProto.dims`` field 1, ``data_type`` field 2, ``name`` field 8).
"""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

_GRAPH, _INPUT, _OUTPUT, _NAME = 7, 11, 12, 1
_INITIALIZER, _TENSOR_NAME = 5, 8
_DIMENSIONS, _TYPE = 1, 2
#: Wire types: a number, a message or bytes with their length in front, and those of fixed length.
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}


class _Field(NamedTuple):
    number: int
    start: int  # where its tag is
    body: int  # where its content is
    stop: int  # where the next field is


class StoredTensor(NamedTuple):
    """A tensor that an ONNX file stores, or that lies beside it."""

    name: str
    shape: tuple[int, ...]
    type: int  # number in the enum ``TensorProto.DataType``


def tensors(path: Path) -> list[StoredTensor]:
    """List the stored tensors of a graph; none where the file is no ONNX."""
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            graph = _graph(data)
            return [
                StoredTensor(name, *_shape_and_type(data, field))
                for name, field in _named(data, graph, _INITIALIZER, _TENSOR_NAME)
            ]
    except (OSError, ValueError, IndexError, KeyError, StopIteration):
        return []


def _shape_and_type(data: mmap.mmap, tensor: _Field) -> tuple[tuple[int, ...], int]:
    shape: list[int] = []
    kind = 0
    for field in _fields(data, tensor.body, tensor.stop):
        if field.number == _TYPE:
            kind = _number(data, field.body)[0]
        elif field.number == _DIMENSIONS:  # one number, or all of them packed
            place = field.body
            while place < field.stop:
                size, place = _number(data, place)
                shape.append(size)
    return tuple(shape), kind


def names(path: Path) -> list[str]:
    """List the outputs of a graph; none where the file is no ONNX, which ONNX Runtime will say itself."""
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return [name for name, _ in _outputs(data, _graph(data))]
    except (OSError, ValueError, IndexError, KeyError, StopIteration):  # an empty file cannot be mapped
        return []


def inputs(path: Path) -> list[str]:
    """List what a graph must be given; none where the file is no ONNX."""
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            graph = _graph(data)
            # Up to version 3 of the format, weights are among the inputs.
            given = {name for name, _ in _named(data, graph, _INITIALIZER, _TENSOR_NAME)}
            return [name for name, _ in _named(data, graph, _INPUT, _NAME) if name not in given]
    except (OSError, ValueError, IndexError, KeyError, StopIteration):
        return []


def without(path: Path, unwanted: Collection[str]) -> bytes:
    """Return a file, of which :func:`names` lists outputs, with some of them taken out."""
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        graph = _graph(data)
        dropped = [field for name, field in _outputs(data, graph) if name in unwanted]
        length = graph.stop - graph.body - sum(field.stop - field.start for field in dropped)
        parts = [data[: graph.start], bytes([_GRAPH << 3 | _BYTES]), _varint(length)]
        place = graph.body
        for field in dropped:
            parts.append(data[place : field.start])
            place = field.stop
        return b"".join([*parts, data[place : graph.stop], data[graph.stop :]])


def _graph(data: mmap.mmap) -> _Field:
    return next(each for each in _fields(data, 0, len(data)) if each.number == _GRAPH)


def _outputs(data: mmap.mmap, graph: _Field) -> list[tuple[str, _Field]]:
    return _named(data, graph, _OUTPUT, _NAME)


def _named(data: mmap.mmap, graph: _Field, kind: int, name: int) -> list[tuple[str, _Field]]:
    """List the parts of a graph of one kind with their names, which the field ``name`` of each has."""
    found = []
    for field in _fields(data, graph.body, graph.stop):
        if field.number == kind:
            inner = _fields(data, field.body, field.stop)
            text = next((data[each.body : each.stop] for each in inner if each.number == name), b"")
            found.append((text.decode("utf-8", "replace"), field))
    return found


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[_Field]:
    """Go through the fields of a message that lies between two places."""
    place = start
    while place < stop:
        tag, body = _number(data, place)
        kind = tag & 7
        if kind == _BYTES:
            length, body = _number(data, body)
            end = body + length
        elif kind == _VARINT:
            _, end = _number(data, body)
        else:
            end = body + _FIXED[kind]
        if end > stop:
            raise ValueError("a field ends behind its message")
        yield _Field(tag >> 3, place, body, end)
        place = end


def _number(data: mmap.mmap, place: int) -> tuple[int, int]:
    """Read a varint; returns it and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])
