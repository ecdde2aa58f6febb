from __future__ import annotations

from edgeroberta.check.expectation import ExpectedOp, Gelu
from edgeroberta.check.fusion import FusionDemands, compare, counts
from edgeroberta.check.kernels import ExecutedGraph, Kernel, integers


def matmul(name: str, *, int8: bool = True) -> ExpectedOp:
    return ExpectedOp(name, False, int8, (name,))


def executed(*kernels: Kernel, engine: str = "openvino") -> ExecutedGraph:
    return ExecutedGraph(engine, "1.0", kernels)


def dense(*nodes: str, int8: bool = True) -> Kernel:
    return Kernel("FullyConnected", nodes, int8, ("uint8" if int8 else "float32", "int8"))


def said(wanted: FusionDemands, found: ExecutedGraph) -> dict[str, tuple[str | None, str | None]]:
    return {each.node: (each.problem, each.unknown) for each in compare(wanted, found)}


def test_types_tell_integers_from_floats_and_admit_what_they_do_not():
    assert integers(("uint8", "int8"))
    assert integers(("float32", "int8")) is False
    assert integers(("uint8", "bfloat16")) is False
    assert integers(("", "int8")) is None
    assert integers(("int8",)) is None


def test_a_matmul_is_judged_by_its_types_whatever_its_kernel_is_called():
    wanted = FusionDemands((matmul("a"), matmul("b")), (), ())
    new = Kernel("SomethingNew", ("a",), True, ("int8", "int8"))
    found = said(wanted, executed(new, dense("b", int8=False)))
    assert found["a"] == (None, None)
    assert found["b"] == ("the engine multiplies float32 by int8 (FullyConnected)", None)


def test_what_scales_a_matmuls_result_says_nothing_of_the_matmul():
    wanted = FusionDemands((matmul("a"),), (), ())
    scaling = Kernel("Subgraph", ("a/DequantizationMultiply",), False, ("float32", "float32"))
    assert said(wanted, executed(scaling)) == {"a": (None, "no kernel that multiplies carries its name")}
    fused = dense("a/DequantizationMultiply", "a.biased")
    assert said(wanted, executed(fused, scaling)) == {"a": (None, None)}


def test_kernels_without_names_are_counted():
    wanted = FusionDemands((matmul("a"), matmul("b"), matmul("c", int8=False)), (), ())
    nameless, floats = dense(), dense(int8=False)
    all_there = executed(nameless, nameless, floats)
    assert set(said(wanted, all_there).values()) == {(None, None)}
    fell_back = executed(dense("a"), floats, floats)
    assert said(wanted, fell_back) == {
        "a": (None, None),
        "b": ("the engine has no int8 matmul for it, and more float ones than the graph", None),
    }
    too_few = executed(dense("a"), floats)
    assert said(wanted, too_few)["b"] == (None, "no kernel that multiplies carries its name")


def test_a_fused_gelu_may_carry_the_names_of_its_parts():
    wanted = FusionDemands((), (Gelu("act", "act.erf", False),), ())
    assert said(wanted, executed(dense("act.erf", "act"))) == {"act": (None, None)}
    apart = Kernel("Subgraph", ("act.scaled", "act.erf"))
    assert said(wanted, executed(apart)) == {
        "act": ("the engine computes it in parts (Subgraph of act.erf)", None)
    }
    assert said(wanted, executed()) == {"act": (None, "no kernel carries its name")}


def test_gelu_by_tanh_is_demanded_of_openvino_alone():
    wanted = FusionDemands((), (Gelu("act", "act.tanh", True),), ())
    apart = Kernel("Tanh", ("act.tanh",))
    assert said(wanted, executed(apart, engine="onnxruntime")) == {}
    assert said(wanted, executed(apart))["act"][0] is not None


def test_attentions_are_demanded_of_openvino_alone_and_only_in_float():
    float_one = ExpectedOp("s", True, False, ("scores", "context"))
    int8_one = ExpectedOp("t", True, True, ("t.scores", "t.context"))
    wanted = FusionDemands((float_one, int8_one), (), ())
    whole = Kernel("Subgraph", ("scores", "s", "context"))
    assert said(wanted, executed(whole)) == {"s": (None, None)}
    assert said(wanted, executed(Kernel("Softmax", ("s",))))["s"][0] is not None
    assert said(wanted, executed())["s"] == (None, "no kernel carries its name")
    assert said(wanted, executed(engine="onnxruntime")) == {}


def test_norms_are_found_by_name_in_onnx_runtime_and_counted_in_openvino():
    wanted = FusionDemands((), (), ("n", "m"))
    kept = Kernel("SkipLayerNormalization", ("n",))
    found = said(wanted, executed(kept, Kernel("Div", ("m",)), engine="onnxruntime"))
    assert found == {"n": (None, None), "m": ("the engine computes it in parts (the last: Div)", None)}
    assert said(wanted, executed(engine="onnxruntime"))["n"] == (None, "no kernel carries its name")
    judged = compare(wanted, executed(Kernel("MVN", ("MVN_3",)), Kernel("MVN", ("MVN_4",))))
    assert counts(judged) == {"LayerNormalization": (2, 2)}
    judged = compare(wanted, executed(Kernel("MVN", ("MVN_3",))))
    assert counts(judged) == {"LayerNormalization": (0, 2)}
    assert judged[0].unknown == "kernels that normalize: 1, in the graph: 2"
