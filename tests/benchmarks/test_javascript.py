from __future__ import annotations

import numpy as np
import pytest

from benchmarks import javascript
from benchmarks.javascript import FLOAT, INT8, Agreement

GROUP = "WebAssembly, onnxruntime-web 1.30.0"
OURS = np.array([[2.0, -2.0], [-1.0, 1.0], [0.02, 0.0], [0.0, 0.03]])


def test_labels_that_lead_by_less_than_the_tolerance_are_near_ties():
    theirs = np.array([[2.0, -2.0], [1.0, -1.0], [0.0, 0.02], [0.0, 0.03]])
    found = Agreement.of(OURS, theirs, atol=0.05)
    assert (found.flips, found.near_ties, found.tied_flips) == (1, 2, 1)
    assert found.logit == 2.0
    assert found.equal == 0.5
    assert found.score == pytest.approx(2 / (1 + np.exp(-2.0)) - 1)
    assert Agreement.of(OURS, OURS, atol=0.05) == Agreement(0, 2, 0, 0.0, 0.0, 1.0)


def answered(slower: float, logits: np.ndarray = OURS) -> dict:
    ms = {INT8: [2.0] * 10, FLOAT: [2.0 * slower] * 10}
    found = {name: {"logits": logits.tolist(), "ms": each} for name, each in ms.items()}
    return {"versions": {"web": "1.30.0"}, "node": "v20", "found": found}


@pytest.mark.parametrize(
    ("slower", "flipped", "kept"), [(1.8, False, True), (1.2, False, False), (1.8, True, False)]
)
def test_int8_is_held_to_the_labels_and_to_being_faster_than_float(slower, flipped, kept):
    logits = OURS[:, ::-1] if flipped else OURS
    ours = {INT8: OURS, FLOAT: OURS}
    rows, _ = javascript.rows_of(GROUP, answered(slower, logits), ours, 0.05)
    assert [row.name for row in rows] == [f"{GROUP}/float", f"{GROUP}/int8"]
    assert rows[1].ratio == rows[1].mean_ratio == slower
    assert rows[1].latency.n == 10
    assert dict(rows[1].values)["times as fast as float"] == slower
    found = javascript.checks(rows)
    assert [check.bar for check in found] == [0, 1.5]
    assert all(check.ok for check in found) == kept


def test_a_native_engine_is_held_to_its_labels_alone():
    rows, _ = javascript.rows_of(
        "Node, onnxruntime-node 1.30.0", answered(1.0), {INT8: OURS, FLOAT: OURS}, 0.05
    )
    (only,) = javascript.checks(rows)
    assert only.ok
    assert only.unit == "texts"


def test_the_float_graph_is_laid_out_beside_the_bundle(tiny_bundle, tmp_path):
    folder = javascript.float_folder(tiny_bundle, tmp_path)
    assert (folder / "onnx/model.onnx").samefile(folder / "model.onnx")
    assert not (tiny_bundle / "onnx").exists()
