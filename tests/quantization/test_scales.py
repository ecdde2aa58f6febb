"""The search on made-up matmuls whose best answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.quantization.calibrate import TensorStatistics
from edgeroberta.quantization.scales import select_scales, select_tied_scales, smoothing_factors
from edgeroberta.roberta.quantized import quantize_rows


def statistics(rows: np.ndarray) -> TensorStatistics:
    rows = rows.astype(np.float32)
    return TensorStatistics(rows.min(axis=0), rows.max(axis=0), rows, len(rows))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def weight(random) -> np.ndarray:
    return random.normal(size=(64, 32)).astype(np.float32) / 8


BIAS = np.zeros(32, np.float32)


def test_a_channel_with_outliers_is_smoothed(random, weight):
    rows = random.normal(size=(400, 64))
    rows[:, 7] *= 80  # as the attention-output LayerNorm of a RoBERTa does
    choice = select_scales(weight, BIAS, statistics(rows), symmetric=False)
    assert choice.candidate.alpha is not None
    assert choice.error < choice.plain_error / 10
    assert "smoothing" in choice.describe()
    assert "smaller than min-max" in choice.reason()


def test_channels_that_no_range_and_no_smoothing_fits_stay_float_where_they_may(random, weight):
    rows = random.normal(size=(400, 64))
    rows[::50, [7, 40]] *= 200  # far out in a few tokens only, as behind the first GELU of a RoBERTa
    seen = statistics(rows)
    whole = select_scales(weight, BIAS, seen, symmetric=False)
    apart = select_scales(weight, BIAS, seen, symmetric=False, outlier_channels=2)
    assert whole.plan.outliers is None
    assert apart.plan.outliers is not None
    assert apart.plan.outliers.channels.tolist() == [7, 40]
    np.testing.assert_array_equal(apart.plan.outliers.weight, weight[[7, 40]])
    assert not apart.plan.weight[[7, 40]].any()
    assert apart.error < whole.error / 10
    assert apart.plain_error == whole.plain_error
    assert apart.describe().endswith("2 channels float")
    # What the graph computes: the int8 product, and that of the two channels.
    plan = apart.plan
    rows32, smoothing = rows.astype(np.float32), 1 if plan.smoothing is None else plan.smoothing
    product = plan.activation.fake_quantize(rows32 / smoothing) @ plan.weight * plan.weight_scale + plan.bias
    product += rows32[:, plan.outliers.channels] @ plan.outliers.weight
    assert np.abs(product - rows32 @ weight).max() < 0.1 * np.abs(rows32 @ weight).std()


def test_channels_do_not_stay_float_where_that_brings_little(random, weight):
    rows = random.normal(size=(400, 64))
    assert (
        select_scales(weight, BIAS, statistics(rows), symmetric=False, outlier_channels=4).plan.outliers
        is None
    )


def test_the_far_tail_is_clipped_when_finer_steps_are_worth_more(random, weight):
    rows = random.standard_t(3, size=(20000, 64))
    rows *= 40 / np.abs(rows).max(axis=0)  # every channel reaches equally far: nothing to smooth
    choice = select_scales(weight, BIAS, statistics(rows), symmetric=True)
    assert choice.candidate.clip < 1
    assert choice.error < choice.plain_error
    assert "clip" in choice.describe()


def test_a_one_sided_tensor_becomes_unsigned_unless_symmetric_is_asked_for(random, weight):
    rows = np.abs(random.normal(size=(400, 64)))
    free = select_scales(weight, BIAS, statistics(rows), symmetric=False)
    symmetric = select_scales(weight, BIAS, statistics(rows), symmetric=True)
    assert (free.plan.activation.signed, symmetric.plan.activation.signed) == (False, True)
    assert symmetric.plan.activation.zero_point == 0
    assert free.error < symmetric.error


def test_an_even_tensor_is_left_unsmoothed(random):
    rows = random.uniform(-1, 1, size=(400, 64))
    weight = random.uniform(-1, 1, size=(64, 32)).astype(np.float32)
    choice = select_scales(weight, BIAS, statistics(rows), symmetric=False)
    assert choice.candidate.alpha is None
    assert choice.plan.smoothing is None


def test_the_reported_error_is_that_of_the_int8_product(random, weight):
    rows = random.normal(size=(300, 64)).astype(np.float32)
    rows[:, 3] *= 3
    bias = random.normal(size=32).astype(np.float32)
    choice = select_scales(weight, bias, statistics(rows), symmetric=True)
    plan = choice.plan
    smoothed = rows if plan.smoothing is None else rows / plan.smoothing
    product = plan.activation.fake_quantize(smoothed) @ (plan.weight * plan.weight_scale) + plan.bias
    exact = rows @ weight + bias
    assert np.abs((product - exact).mean(axis=0)).max() < 1e-5  # the bias takes the mean error out
    assert np.square(product - exact).sum() / np.square(rows @ weight).sum() == pytest.approx(
        choice.error, rel=0.2
    )


def test_smoothing_multiplies_out(random, weight):
    rows = random.normal(size=(50, 64)).astype(np.float32) * np.linspace(0.1, 50, 64, dtype=np.float32)
    factors = smoothing_factors(weight, statistics(rows), 0.8)
    np.testing.assert_allclose(
        (rows / factors) @ (weight * factors[:, None]), rows @ weight, rtol=1e-3, atol=1e-3
    )


def test_dead_channels_and_zero_weights_are_harmless():
    rows = np.zeros((20, 64), np.float32)
    choice = select_scales(np.zeros((64, 32), np.float32), BIAS, statistics(rows), symmetric=False)
    assert np.isfinite(choice.error)
    assert np.isfinite(choice.plan.bias).all()


def test_the_input_of_a_tied_decoder_is_never_smoothed_and_its_weights_are_the_table_s(random):
    words = random.standard_normal((300, 32)).astype(np.float32)
    rows = quantize_rows(words)
    inputs = random.standard_normal((200, 32)).astype(np.float32) * np.linspace(0.1, 4, 32, dtype=np.float32)
    bias = random.standard_normal(300).astype(np.float32)
    for symmetric in (True, False):
        found = select_tied_scales(rows, words, bias, statistics(inputs), symmetric=symmetric)
        assert found.plan.smoothing is None
        assert found.plan.activation.signed or not symmetric
        np.testing.assert_array_equal(found.plan.weight, rows.values.T)
        np.testing.assert_array_equal(found.plan.weight_scale, rows.scale[:, 0])
        product = found.plan.activation.fake_quantize(inputs) @ found.plan.weight * found.plan.weight_scale
        off = product + found.plan.bias - (inputs @ words.T + bias)
        assert np.square(off).sum() < 0.002 * np.square(inputs @ words.T).sum()
        assert found.error <= found.plain_error
