"""Numbers as people read them: shares in points, bytes in megabytes; what is not known is a dash.

Standard library only: this module is imported on the device.
"""

from __future__ import annotations

ABSENT = "–"
#: Metrics that are no shares, so that points would mislead.
CORRELATIONS = ("matthews", "pearson", "spearman")


def decimals(value: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def score(metric: str, value: float | None) -> str:
    """Return a metric in points; a correlation stays a number: ``86.7``, ``0.867``."""
    return decimals(value, 3) if metric in CORRELATIONS else points(value)


def points(share: float | None) -> str:
    """Return a share in points: 0.867 is ``86.7``."""
    return ABSENT if share is None else f"{100 * share:.1f}"


def signed_points(share: float) -> str:
    """Return a difference of shares in points, with its sign: ``+0.6``, ``-0.2``, ``0.0``."""
    text = f"{100 * share:+.1f}"
    return "0.0" if float(text) == 0 else text


def interval(mean: float, low: float, high: float) -> str:
    """Return a difference with its interval, in points: ``+0.6 (+0.1 to +1.2)``."""
    return f"{signed_points(mean)} ({signed_points(low)} to {signed_points(high)})"


def megabytes(count: float | None) -> str:
    """Return bytes as megabytes (10^6): ``31.2``."""
    return ABSENT if count is None else f"{count / 1e6:,.1f}"
