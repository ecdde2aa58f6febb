"""A small ONNX graph builder: nodes, deduplicated constants, and files larger than 2 GB.

Knows nothing of RoBERTa; it holds arrays by reference and streams them to disk, so that writing a
graph needs no second copy of the weights.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.storage.artifact import replacing

if TYPE_CHECKING:
    import onnx

OPSET = 17
#: The IR version that an opset came with: 8 with opset 17, which every engine in use reads.
IR_VERSIONS = {17: 8, 19: 9}
#: Bytes of weights that stay inside the file. A protobuf message ends at 2 GiB, but long before that
#: it is slow to make: 12 s for RoBERTa-base in float32, 0.2 s with the weights beside (onnx 1.23).
INLINE_LIMIT = 2**28
#: Tensors up to this size stay inside: shape inference reads shapes and split sizes from the model
#: alone (onnxruntime 1.31: "Cannot parse data from external tensors").
SMALL = 1024
#: Large tensors start on a page, so that an engine can map the file (ONNX external data spec).
PAGE = 4096


def external_data(path: Path) -> Path:
    """Return the file for large weights beside a graph: ``model.onnx_data``, Optimum's and the Hub's name."""
    return path.with_name(f"{path.stem}.onnx_data")


class GraphBuilder:
    """Collects nodes and constants, then makes a ModelProto or writes a file."""

    def __init__(self, name: str, *, opset: int = OPSET) -> None:
        self.name = name
        self.opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, np.ndarray[Any, Any]] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: Any, shape: Sequence[str | int]) -> str:
        """Declare a graph input; strings in ``shape`` are dynamic dimensions."""
        self._inputs.append(_value_info(name, dtype, shape))
        return name

    def output(self, name: str, dtype: Any, shape: Sequence[str | int]) -> None:
        """Declare a tensor as a graph output."""
        self._outputs.append(_value_info(name, dtype, shape))

    def constant(self, name: str, value: Any, dtype: Any = None) -> str:
        """Add an initializer once; a second call with the same name returns the first."""
        if name not in self._constants:
            self._constants[name] = np.ascontiguousarray(value, dtype=dtype)
            if np.ndim(value) == 0:  # ascontiguousarray makes scalars one-dimensional
                self._constants[name] = self._constants[name].reshape(())
        return name

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output, called like the node, and return that output's name."""
        return self.nodes(op, inputs, name, (name,), **attributes)[0]

    def nodes(
        self, op: str, inputs: Sequence[str], name: str, outputs: Sequence[str], **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with several outputs and return their names."""
        from onnx import helper

        self._nodes.append(helper.make_node(op, list(inputs), list(outputs), name=name, **attributes))
        return tuple(outputs)

    @property
    def constant_bytes(self) -> int:
        """Bytes of all initializers."""
        return sum(value.nbytes for value in self._constants.values())

    def model(self) -> onnx.ModelProto:
        """Make the model with its weights inside (under 2 GiB)."""
        from onnx import numpy_helper

        return self._model([numpy_helper.from_array(value, name) for name, value in self._constants.items()])

    def save(self, path: Path, *, inline_limit: int = INLINE_LIMIT) -> tuple[Path, ...]:
        """Write ``model.onnx`` and, for large models, ``model.onnx_data`` beside it, as the Hub names them.

        ``path``: the ``.onnx`` file, here ``model.onnx``; written under a temporary name and renamed.
        ``inline_limit``: bytes of weights above which they go to the data file.
        """
        if self.constant_bytes <= inline_limit:
            model, data_path = self.model(), None
        else:
            data_path = external_data(path)
            model = self._model(self._write_external(data_path))
        with replacing(path) as handle:
            handle.write(model.SerializeToString(deterministic=True))
        return (path,) if data_path is None else (path, data_path)

    def _write_external(self, data_path: Path) -> list[onnx.TensorProto]:
        from onnx import TensorProto, helper, numpy_helper

        tensors = []
        with replacing(data_path) as handle:
            for name, value in self._constants.items():
                if value.nbytes <= SMALL:
                    tensors.append(numpy_helper.from_array(value, name))
                    continue
                handle.seek(-handle.tell() % PAGE, os.SEEK_CUR)
                tensor = TensorProto(
                    name=name,
                    data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
                    dims=value.shape,
                    data_location=TensorProto.EXTERNAL,
                )
                place = {
                    "location": data_path.name,
                    "offset": handle.tell(),
                    "length": value.nbytes,
                }
                for key, entry in place.items():
                    tensor.external_data.add(key=key, value=str(entry))
                handle.write(value.reshape(-1).view(np.uint8).data)
                tensors.append(tensor)
        return tensors

    def _model(self, initializers: Sequence[onnx.TensorProto]) -> onnx.ModelProto:
        from onnx import helper

        # Operators of an engine's own have versions of their own, of which ONNX Runtime's is the first still.
        domains = sorted({node.domain for node in self._nodes if node.domain})
        others = [helper.make_opsetid(domain, 1) for domain in domains]
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, list(initializers))
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset), *others],
            ir_version=IR_VERSIONS[self.opset],
            producer_name="edgeroberta",
        )


def _value_info(name: str, dtype: Any, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
