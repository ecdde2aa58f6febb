"""Outputs are taken out of ONNX files, and nothing else is."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from edgeroberta.runtime import onnx_outputs


@pytest.fixture
def graph(tmp_path):
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("a", "b", "c")]
    nodes = [helper.make_node("Neg", ["x"], [name], name=name * 200) for name in ("a", "b", "c")]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    model = helper.make_model(helper.make_graph(nodes, "three", [value], outputs), producer_name="p" * 300)
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_the_outputs_of_a_graph_are_listed(graph):
    assert onnx_outputs.names(graph) == ["a", "b", "c"]


@pytest.mark.parametrize("unwanted", [("b",), ("c",), ("a", "c"), ()])
def test_all_but_the_outputs_stays_as_it_is(graph, unwanted):
    wanted = onnx.load(graph)
    kept = [each for each in wanted.graph.output if each.name not in unwanted]
    del wanted.graph.output[:]
    wanted.graph.output.extend(kept)
    assert onnx.load_from_string(onnx_outputs.without(graph, unwanted)) == wanted


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x3a\xff\xff\xff\xff\x0f", b"\x08\x08"])
def test_a_file_that_is_no_graph_has_no_outputs(tmp_path, data):
    (tmp_path / "model.onnx").write_bytes(data)
    assert onnx_outputs.names(tmp_path / "model.onnx") == []
    assert onnx_outputs.names(tmp_path / "absent.onnx") == []
