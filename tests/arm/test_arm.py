"""The runtime on an emulated 64-bit ARM computer gives what it gives on x86-64."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import odd_inputs
import pytest
from arm.parity import deviation, differences
from int8_processor import SATURATES

from edgeroberta import targets

pytestmark = pytest.mark.arm

ROWS = 200


class Compared(NamedTuple):
    """What both machines answered on one engine, and how many rows were left out as ties before the last."""

    texts: list[str]
    here: dict[str, Any]
    there: dict[str, Any]
    ties: int


@pytest.fixture(scope="module")
def onnxruntime(compare, real_bundle) -> Compared:
    """The bundle for ARM on ONNX Runtime, compared."""
    return Compared(*compare(real_bundle("arm"), "onnxruntime"))


@pytest.fixture(scope="module")
def openvino(compare, real_bundle) -> Compared:
    """A bundle for any computer on OpenVINO, compared."""
    return Compared(*compare(real_bundle("cpu"), "openvino"))


def check_rows(found: Compared, measured: list[str]) -> None:
    atol = found.here["goldens_atol"]
    assert len(found.texts) == ROWS
    rows = list(zip(found.here["texts"], found.there["texts"], strict=True))
    largest = max(deviation(one, other) for one, other in rows)
    measured.append(
        f"{found.there['engine']} {found.there['engine_version']}: logits of {ROWS} texts differ by at most "
        f"{largest:.3g} (allowed {atol:.3g}); {found.ties} ties left out; "
        f"{found.there['seconds']['all']:.0f} s on ARM, {found.here['seconds']['all']:.0f} s here"
    )
    assert not differences(found.texts, found.here["texts"], found.there["texts"], atol=atol)


def test_it_is_arm_and_this_tree(onnxruntime):
    assert onnxruntime.there["machine"] == "aarch64"
    assert onnxruntime.here["machine"] == "x86_64"
    assert "device" in onnxruntime.there["package"]
    assert onnxruntime.here["engine_version"] == onnxruntime.there["engine_version"]


def test_the_goldens_pass_on_arm(onnxruntime):
    assert "refused" not in onnxruntime.there
    assert onnxruntime.there["goldens"] <= onnxruntime.there["goldens_atol"]


def test_200_real_texts_get_the_label_and_nearly_the_logits_of_x86(onnxruntime, measured):
    check_rows(onnxruntime, measured)


@pytest.mark.parametrize("name", [*odd_inputs.TEXTS, *odd_inputs.REFUSED])
def test_an_odd_input_gets_the_ids_and_the_label_of_x86(onnxruntime, name):
    here, there = onnxruntime.here["odd"][name], onnxruntime.there["odd"][name]
    assert ("refused" in there) == (name in odd_inputs.REFUSED)
    assert not differences([name], [here], [there], atol=onnxruntime.here["goldens_atol"])


def test_an_engine_with_other_answers_is_refused_on_arm(onnxruntime):
    ((_, refusal),) = onnxruntime.there["spoiled"].items()
    assert re.match(r"EngineError: .*onnxruntime \S+ gives other answers here", refusal)


def test_the_doctor_finds_onnxruntime_right_on_arm(onnxruntime):
    answer = onnxruntime.there["commands"]["doctor"]
    assert answer["code"] == 0
    found = json.loads(answer["out"])
    assert found["usable"]
    assert {one["engine"]: one["status"] for one in found["engines"]}["onnxruntime"] == "ok"
    assert found["device"]["system"].endswith("aarch64")


def test_run_answers_on_arm_as_on_x86(onnxruntime):
    here, there = (
        json.loads(side["commands"]["run"]["out"]) for side in (onnxruntime.here, onnxruntime.there)
    )
    assert onnxruntime.there["commands"]["run"]["code"] == 0
    assert [one["label"] for one in there["predictions"]] == [one["label"] for one in here["predictions"]]


def test_the_target_arm_offers_only_an_engine_that_was_compared():
    assert targets.load("arm").engines == ("onnxruntime",)


def test_openvino_on_arm_is_right_on_every_row_or_refused(openvino, measured):
    if "refused" in openvino.there:
        assert "gives other answers here than where the bundle was made" in openvino.there["refused"]
    elif SATURATES:  # what ARM computes exactly, this processor does not: its answers are no reference
        measured.append("openvino: not compared row by row, int8 products saturate on this processor")
    else:
        check_rows(openvino, measured)
    ((_, refusal),) = openvino.there["spoiled"].items()
    assert re.match(r"EngineError: .*openvino \S+ gives other answers here", refusal)
