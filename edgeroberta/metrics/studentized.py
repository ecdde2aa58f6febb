"""The interval of a difference of two correlations, for data in which a few rows weigh the most.

Each bootstrap sample's loss is measured in standard errors of its own, so that samples which happen to hold
none of the rows that matter, and know little, count as such (the bootstrap-t: Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, section 12.5). A row's share in the standard error is its influence on
Pearson's correlation, zx zy - r (zx² + zy²) / 2 (Devlin, Gnanadesikan and Kettenring, Robust Estimation and
Outlier Detection with Correlation Coefficients, 1975): a quadratic polynomial of the values, so that the sums
of all samples are one matrix product.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeroberta.metrics import resampling
from edgeroberta.metrics.resampling import Groups
from edgeroberta.metrics.scores import Array, Floats

#: Places of 1, ours, theirs, labels, their squares, and the labels' products with ours and with theirs.
_ONE, _OURS, _THEIRS, _LABELS, _OURS2, _THEIRS2, _LABELS2, _OURS_LABELS, _THEIRS_LABELS = range(9)
_MODELS = ((1, _OURS, _OURS2, _OURS_LABELS), (-1, _THEIRS, _THEIRS2, _THEIRS_LABELS))
#: Weights held at once: 4 million float64 are 32 MB.
_CELLS_PER_BLOCK = 4_000_000
#: Variance below which standardized values are taken for constant.
_FLAT = 1e-12
#: Standard error of a loss below which answers are the same but for rounding: of equal ones 6e-9 were seen,
#: and what float32 answers are rounded by is 1e-7 of them.
_ROUNDING = 1e-7
#: Of a normal distribution.
_KURTOSIS = 3
#: Share of a row that tells the influence of one.
_STEP = 1e-4


def monomials(ours: Array, theirs: Array, labels: Array) -> Floats:
    """Return float64[n, 9], the sums of which give both correlations; values are scaled for rounding."""
    x, z, y = (_standard(each) for each in (ours, theirs, labels))
    return np.stack([np.ones(len(y)), x, z, y, x * x, z * z, y * y, x * y, z * y], axis=1)


def upper(
    ours: Array,
    theirs: Array,
    labels: Array,
    groups: Groups | None,
    *,
    tail: float,
    samples: int,
    seed: int,
    scale: float = 1.0,
) -> float:
    """Return the upper end of how much more ours correlates with the labels than theirs.

    There is one row more than those given, which theirs lost: of the rows with the mean for an answer, that
    which loses as much as they do on average, each counted in proportion to what it loses; at most three
    times their plain average, as it is for normal values. More of it would make the end of data with heavy
    tails useless: 21 points for Student's t with three degrees of freedom and 1,000 rows. ``ours``: float[n]
    answers. ``theirs``: float[n] answers. ``labels``: float[n]. ``groups``: int64[n], equal for rows that
    stand or fall together; None where each stands alone. ``tail``: probability above, 0.025 for one end of 95
    %. ``scale``: what the end would be with so many times as many rows of the same kinds.
    """
    rows = len(labels)
    lost = np.full(rows, np.mean(ours, dtype=np.float64))
    every = monomials(*(np.concatenate(pair) for pair in ((ours, ours), (theirs, lost), (labels, labels))))
    units = resampling.group_sums(every[:rows], groups)
    unseen = every[rows:] * (rows / len(units))
    loss = _loss(units.sum(axis=0) + _STEP * unseen) - _loss(units.sum(axis=0)[None])
    worth = np.maximum(loss, 0)
    typical = min((worth**2).sum() / max(worth.sum(), _FLAT), _KURTOSIS * worth.mean())
    return _upper(
        units, unseen[np.argmin(np.abs(loss - typical))], tail=tail, samples=samples, seed=seed, scale=scale
    )


def _upper(seen: Floats, unseen: Floats, *, tail: float, samples: int, seed: int, scale: float) -> float:
    units = np.vstack([seen, unseen])
    count = len(units)
    squares = (units[:, :, None] * units[:, None, :]).reshape(count, -1)
    loss, error = _loss_and_error(np.hstack([units, squares]).sum(axis=0, keepdims=True))
    if not error[0] > 0:
        return float(loss[0])
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS_PER_BLOCK // count)
    found: list[Floats] = []
    for start in range(0, samples, block):
        weights = _resample(rng, min(block, samples - start), count)
        drawn, errors = _loss_and_error(np.hstack([weights @ units, weights @ squares]))
        known = errors > 0
        found.append((drawn[known] - loss[0]) / errors[known])
    deviations = np.concatenate(found)
    if not len(deviations):
        return np.inf
    low, high = np.quantile(deviations, [tail, 1 - tail])
    # With more rows the one that was not seen weighs less, errors shrink with their root, and so does
    # what sets the deviations apart from a symmetrical distribution: skewness.
    root = scale**0.5
    even = (high - low) / 2
    before = _loss(seen.sum(axis=0)[None])[0]
    middle = before + (loss[0] - before) / scale
    return float(middle + error[0] / root * (even - (low + even) / root))


def _standard(values: Array) -> Floats:
    exact = values.astype(np.float64)
    exact = exact - exact.mean()
    return np.asarray(exact / (exact.std() or 1.0))


def _resample(rng: np.random.Generator, samples: int, units: int) -> Floats:
    """Return float64[samples, units], how often each unit is drawn."""
    drawn = rng.integers(0, units, size=(samples, units), dtype=np.int64)
    drawn += units * np.arange(samples)[:, None]
    counts: npt.NDArray[np.int64] = np.bincount(drawn.ravel(), minlength=samples * units)
    return counts.reshape(samples, units).astype(np.float64)


def _loss(sums: Floats) -> Floats:
    """Return the difference of correlations float64[b] from sums float64[b, 9]."""
    return _loss_and_error(np.hstack([sums, np.zeros((len(sums), 81))]))[0]


def _loss_and_error(sums: Floats) -> tuple[Floats, Floats]:
    """Return the difference of correlations float64[b] and its standard error, zero where a side is flat."""
    n = sums[:, _ONE, None]
    means = sums[:, :9] / n
    influence, loss = np.zeros_like(means), np.zeros(len(means))
    flat = np.zeros(len(means), dtype=bool)
    y = means[:, _LABELS]
    var_y = np.maximum(means[:, _LABELS2] - y * y, 0)
    for sign, first, square, product in _MODELS:
        x = means[:, first]
        var_x = np.maximum(means[:, square] - x * x, 0)
        spread = np.sqrt(var_x * var_y)
        flat |= spread <= _FLAT
        over = np.where(spread <= _FLAT, 0.0, 1 / np.maximum(spread, _FLAT))
        r = (means[:, product] - x * y) * over
        loss += sign * r
        half_x, half_y = (-r / 2 / np.maximum(var, _FLAT) for var in (var_x, var_y))
        for place, factor in (
            (product, over),
            (square, half_x),
            (_LABELS2, half_y),
            (first, -y * over - 2 * half_x * x),
            (_LABELS, -x * over - 2 * half_y * y),
            (_ONE, x * y * over + half_x * x * x + half_y * y * y),
        ):
            influence[:, place] += sign * factor
    moments = sums[:, 9:].reshape(-1, 9, 9)
    variance = np.einsum("bi,bij,bj->b", influence, moments, influence, optimize=True)
    error = np.sqrt(np.maximum(variance, 0)) / n[:, 0]
    return loss, np.where(flat | (error < _ROUNDING), 0.0, error)
