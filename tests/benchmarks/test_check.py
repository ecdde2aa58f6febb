from __future__ import annotations

from benchmarks import check
from edgeroberta.check.expectation import ExpectedOp
from edgeroberta.check.expected_layers import NodeFinding
from edgeroberta.check.tensorrt import EngineGraphCheck


def checked(*findings: NodeFinding, fp32_bytes: int | None = 100) -> EngineGraphCheck:
    return EngineGraphCheck("tensorrt", "tensorrt.onnx", findings, 9, 2, 4, 20, 30, 1.5, fp32_bytes)


def finding(*, attention: bool = False, int8: bool = True, problem: str | None = None) -> NodeFinding:
    return NodeFinding(ExpectedOp("node", attention, int8, ("node",)), problem)


def test_promises_count_what_the_engine_made_of_every_matmul_and_attention():
    good = [finding(), finding(), finding(attention=True)]
    assert [each.value for each in check.checks("base", checked(*good))] == [100, 100, 0.3]
    assert all(each.ok for each in check.checks("base", checked(*good)))


def test_a_matmul_that_is_float_by_choice_or_by_mistake_misses_the_promise():
    for bad in (finding(int8=False), finding(problem="the engine multiplies Half")):
        assert [each.ok for each in check.checks("base", checked(finding(), bad))] == [False, False, True]


def test_an_engine_that_is_too_large_misses_the_promise():
    good = [finding(), finding(attention=True)]
    assert [each.ok for each in check.checks("base", checked(*good, fp32_bytes=80))] == [True, True, False]


def test_a_row_has_the_float32_engine_only_where_it_was_built():
    assert dict(check.row("base", checked()).values)["share of float32"] == 0.3
    assert "share of float32" not in dict(check.row("base", checked(fp32_bytes=None)).values)
