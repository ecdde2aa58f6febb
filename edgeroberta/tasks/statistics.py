"""Statistics per text, and metrics of their sums, that several kinds of task share."""

from __future__ import annotations

import numpy as np

from edgeroberta.tasks.kind import Array, Floats


def right(same: Array) -> Floats:
    """Return bool[n] of right answers as float64[n, 2], right and all."""
    return np.stack([same, np.ones(len(same))], axis=1).astype(np.float64)


def share(sums: Floats) -> Floats:
    """Return the first of two sums over the second."""
    return sums[..., 0] / sums[..., 1]


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return part over whole, 0 where there is nothing."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def f1(hits: Floats, found: Floats, wanted: Floats) -> Floats:
    """Return F1, 0 where nothing was found and nothing wanted."""
    return ratio(2 * hits, found + wanted)


def f1_of_sums(sums: Floats) -> Floats:
    """Return F1 of float64[…, 3] hits, found and wanted."""
    return f1(sums[..., 0], sums[..., 1], sums[..., 2])


def by_label(predicted: Array, truth: Array) -> Floats:
    """Return hits, found and wanted of each label, float64[n, 3 L], of bool[n, L]."""
    return np.hstack([predicted & truth, predicted, truth]).astype(np.float64)


def macro(sums: Floats) -> Floats:
    """Return the mean F1 over the labels that occur, of float64[…, 3 L] hits, found and wanted."""
    hits, found, wanted = np.split(sums, 3, axis=-1)
    occurs = np.maximum((found + wanted > 0).sum(axis=-1), 1)
    return f1(hits, found, wanted).sum(axis=-1) / occurs


def micro(sums: Floats) -> Floats:
    """Return F1 over all labels together, of float64[…, 3 L] hits, found and wanted."""
    return f1(*(each.sum(axis=-1) for each in np.split(sums, 3, axis=-1)))


def matthews(sums: Floats) -> Floats:
    """Matthews' correlation of any number of labels (Gorodkin 2004, R_K), of hits, found and wanted."""
    hits, found, wanted = np.split(sums, 3, axis=-1)
    n = wanted.sum(axis=-1)
    covariance = n * hits.sum(axis=-1) - (found * wanted).sum(axis=-1)
    spread = np.sqrt(
        np.maximum(n**2 - (found**2).sum(axis=-1), 0) * np.maximum(n**2 - (wanted**2).sum(axis=-1), 0)
    )
    flat = spread <= 1e-12 * n**2
    return np.where(flat, 0.0, covariance / np.where(flat, 1.0, spread))


def ranks(values: Array) -> Floats:
    """Return float64[n] ranks from 0, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]


def moments(x: Array, y: Array) -> Floats:
    """Return 1, x, y, x², y², xy, of centred values for the sake of rounding."""
    x = x.astype(np.float64) - np.mean(x, dtype=np.float64)
    y = y.astype(np.float64) - np.mean(y, dtype=np.float64)
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def pearson(sums: Floats) -> Floats:
    """Return correlations float64[…] from sums float64[…, 6] of 1, x, y, x², y² and xy."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    var_x, var_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    spread = np.sqrt(np.maximum(var_x, 0) * np.maximum(var_y, 0))
    # A constant leaves rounding errors of about 1e-16 of the square; it has no correlation.
    flat = spread <= 1e-12 * np.maximum(np.sqrt(xx * yy) / n, 1e-300)
    return np.where(flat, 0.0, (xy / n - x * y / n**2) / np.where(flat, 1.0, spread))
