from __future__ import annotations

import numpy as np

from edgeroberta.quantization.attention import select_attention_scales
from edgeroberta.quantization.calibrate import TensorStatistics
from edgeroberta.quantization.graph_config import SelectedScales


def statistics(rows):
    return TensorStatistics(rows.min(axis=0), rows.max(axis=0), rows, len(rows))


def tensors(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((200, 16)).astype(np.float32) for _ in range(3)]


def chosen(query, key, value, smoothing=None):
    weight = np.random.default_rng(9).standard_normal((16, 8)).astype(np.float32)
    seen = [statistics(rows) for rows in (query, key, value)]
    return select_attention_scales(seen, reader="output", weight=weight, smoothing=smoothing)


def test_all_grids_are_symmetric_and_probabilities_have_127_steps():
    plan = chosen(*tensors()).plan
    for grid in (plan.query, plan.key, plan.value, plan.probabilities):
        assert (grid.signed, grid.zero_point) == (True, 0)
    assert plan.probabilities.scale == 1 / 127


def test_one_far_outlier_is_clipped_and_the_report_says_what_it_brings():
    query, key, value = tensors()
    query[3, 5] = 50
    key[:, 5] = 0  # and nothing reads it
    found = chosen(query, key, value)
    assert found.plan.query.scale < 0.2 * 50 / 127
    assert found.error < found.plain_error
    assert found.describe().startswith("int8, clip q 0.")
    assert "smaller than min-max, over 200 tokens" in found.reason()


def test_the_value_is_measured_as_smoothing_leaves_it():
    smoothing = np.full(16, 4, np.float32)
    plain, smoothed = chosen(*tensors()), chosen(*tensors(), smoothing=smoothing)
    assert np.isclose(smoothed.plan.value.scale, plain.plan.value.scale / 4)


def test_an_attention_stays_float_where_the_matmul_behind_it_does():
    choices = SelectedScales({}, None, {"a": chosen(*tensors())})
    assert list(choices.plan(()).attentions) == ["a"]
    assert choices.plan(("output",)).attentions == {}
    assert choices.implied(("output",)) == {
        "a": "output is float, and no int8 attention fuses before a float matmul"
    }
    assert choices.implied(("output", "a")) == choices.implied(()) == {}
