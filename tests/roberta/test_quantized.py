from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.roberta.quantized import ActivationRange, quantize_columns, quantize_rows, quantize_weight


def test_a_signed_grid_has_zero_point_zero_and_covers_the_larger_side():
    grid = ActivationRange.over(-1.0, 6.35, signed=True)
    assert (grid.zero_point, grid.dtype) == (0, np.int8)
    assert grid.scale == pytest.approx(0.05)


def test_an_unsigned_grid_spends_its_steps_on_the_range_that_exists():
    grid = ActivationRange.over(-0.17, 4.93, signed=False)
    assert grid.scale == pytest.approx(5.1 / 255)
    assert grid.zero_point == round(0.17 / grid.scale)


def test_zero_is_exact_on_every_grid():
    for low, high in ((-3.0, 1.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0)):
        for signed in (True, False):
            grid = ActivationRange.over(low, high, signed=signed)
            assert grid.fake_quantize(np.zeros(3, np.float32)).tolist() == [0, 0, 0]


def test_fake_quantization_equals_the_engines_operators(tmp_path):
    x = np.linspace(-3, 5, 1001, dtype=np.float32)
    for signed in (True, False):
        grid = ActivationRange.over(-1.3, 4.1, signed=signed)
        info = np.iinfo(grid.dtype)
        q = np.clip(np.rint(x / np.float32(grid.scale)) + grid.zero_point, info.min, info.max)
        expected = (q - grid.zero_point) * np.float32(grid.scale)
        # A value within one float step of a rounding boundary may fall on either side.
        off = np.abs(grid.fake_quantize(x) - expected) > 1e-6
        assert off.mean() < 0.005


def test_weights_are_symmetric_per_output_channel():
    weight = np.array([[1.27, -0.5], [-0.64, 0.254]], np.float32)
    values, scale = quantize_weight(weight)
    assert scale == pytest.approx([0.01, 0.5 / 127])
    assert values.tolist() == [[127, -127], [-64, 65]]


def test_a_channel_of_zeros_does_not_divide_by_zero():
    values, scale = quantize_weight(np.zeros((4, 2), np.float32))
    assert not values.any()
    assert np.isfinite(scale).all()


def test_embedding_rows_have_a_scale_each():
    table = np.random.default_rng(0).normal(size=(10000, 8)).astype(np.float32)
    table[3] *= 100
    rows = quantize_rows(table)
    assert rows.scale.shape == (10000, 1)
    error = np.abs(rows.values * rows.scale - table)
    assert (error <= rows.scale / 2 * 1.001).all()


def test_a_column_that_is_larger_than_the_rest_does_not_cost_the_others_their_precision():
    table = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    table[:, 3] *= 1000
    found = quantize_columns(table)
    assert (found.values.dtype, found.scale.shape) == (np.int8, (8,))
    error = np.abs(found.values * found.scale - table)
    assert (error <= 0.5001 * np.abs(table).max(axis=0) / 127).all()
