from __future__ import annotations

import pytest

from edgeroberta.check.expectation import ExpectedOp
from edgeroberta.check.expected_layers import EngineLayer, compare, parse, profiles
from edgeroberta.errors import EngineError

LINE = (
    "Name: {name}, LayerType: gemm, Inputs: [ {{ Name: x, Dimensions: [-1,384], Strides: [384,1], "
    "Datatype: {type}, Format: (Linear) }}], Constants: [ {{ Name: w, Datatype: Int8 }}], Outputs: []"
)


def matmul(name: str, *, int8: bool = True) -> ExpectedOp:
    return ExpectedOp(name, False, int8, (name,))


def attention(name: str, *, int8: bool = True) -> ExpectedOp:
    return ExpectedOp(name, True, int8, (f"{name}.scores", f"{name}.context"))


def layer(node: str, *types: str, profile: int = 0) -> EngineLayer:
    return EngineLayer(node, "gemm", profile, types)


def problems(expected: list[ExpectedOp], layers: list[EngineLayer]) -> dict[str, str]:
    found = compare(expected, layers, len(profiles(layers)))
    return {each.expected.node: each.problem for each in found if each.problem}


GRAPH = [matmul("a"), attention("s"), matmul("b")]
FUSED = layer("_gemm_mha_v2", "Int8", "Int8", "Half", "Int8")


def test_layers_are_read_with_their_node_profile_and_types():
    text = "\n".join(
        LINE.format(name=name, type=kind)
        for name, kind in (("a.matmul_U9_myl0_3", "Int8"), ("a.matmul [profile 1]_U9_myl1_3", "Half"))
    )
    found = parse(text)
    assert found == (layer("a.matmul", "Int8"), layer("a.matmul", "Half", profile=1))
    assert profiles(found) == (0, 1)
    assert [each.int8 for each in found] == [True, False]


def test_an_engine_as_asked_for_has_no_problems():
    assert problems(GRAPH, [layer("a", "Int8"), FUSED, layer("b", "Int8")]) == {}


def test_a_matmul_that_fell_back_to_float_is_named_with_its_profile():
    layers = [layer("a", "Int8"), FUSED, layer("b", "Int8")]
    second = [
        layer("a", "Int8", profile=1),
        EngineLayer(FUSED.node, "kgen", 1, FUSED.inputs),
        layer("b", "Half", profile=1),
    ]
    assert problems(GRAPH, [*layers, *second]) == {"b": "the engine multiplies Half (profile 1)"}


def test_a_matmul_that_is_no_layer_is_named():
    assert problems([matmul("a"), matmul("b")], [layer("a", "Int8")]) == {
        "b": "the engine has no int8 matmul for it (profile 0)"
    }


def test_attentions_that_are_float_or_not_fused_are_named():
    ends = layer("a", "Int8"), layer("b", "Int8")
    half = layer("_gemm_mha_v2", "Half", "Half", "Half", "Half")
    said = "the engine fuses it, but multiplies Half, Half, Half, Half (profile 0)"
    assert problems(GRAPH, [ends[0], half, ends[1]]) == {"s": said}
    assert problems(GRAPH, list(ends)) == {"s": "the engine does not fuse it (profile 0)"}


def test_an_attention_left_float_is_held_to_half_precision_and_fusion():
    graph = [matmul("a"), attention("s", int8=False), matmul("b")]
    ends = layer("a", "Int8"), layer("b", "Int8")
    half, single = (layer("_gemm_mha_v2", *[kind] * 4) for kind in ("Half", "Float"))
    assert problems(graph, [ends[0], half, ends[1]]) == {}
    assert problems(graph, list(ends)) == {"s": "the engine does not fuse it (profile 0)"}
    said = "the engine fuses it, but multiplies Float, Float, Float, Float (profile 0)"
    assert problems(graph, [ends[0], single, ends[1]]) == {"s": said}


def test_the_attentions_of_a_graph_without_int8_are_held_to_fusion():
    graph = [matmul("a", int8=False), attention("s", int8=False), matmul("b", int8=False)]
    layers = [layer("a", "Half"), layer("b", "Half")]
    assert problems(graph, layers) == {"s": "the engine does not fuse it (profile 0)"}


def test_attentions_around_a_float_matmul_are_counted_together():
    graph = [matmul("a"), attention("s"), matmul("b", int8=False), attention("t"), matmul("c")]
    ends = layer("a", "Int8"), layer("c", "Int8")
    assert problems(graph, [ends[0], FUSED, FUSED, ends[1]]) == {}
    assert set(problems(graph, [ends[0], FUSED, ends[1]])) == {"s", "t"}


@pytest.mark.parametrize("int8", [True, False])
@pytest.mark.parametrize("renamed", [0, 3])
def test_a_profile_without_known_layers_is_an_error_and_no_pass(int8, renamed):
    graph = [matmul("a", int8=int8), attention("s", int8=int8), matmul("b", int8=int8)]
    fused = FUSED if int8 else layer("_gemm_mha_v2", "Half", "Half", "Half", "Half")
    kind = "Int8" if int8 else "Half"
    layers = [layer("a", kind), fused, layer("b", kind)]
    assert not any(each.problem for each in compare(graph, layers, 1))
    layers += [layer(f"kernel{number}", kind, profile=1) for number in range(renamed)]
    said = f"build log could not be read: it lists {renamed} layers of profile 1"
    with pytest.raises(EngineError, match=said):
        compare(graph, layers, 2)
