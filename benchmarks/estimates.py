"""Numbers of which each seed gives another: intervals, differences from a partner, and their table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from benchmarks.layout import COLUMNS, figures, markdown
from benchmarks.results import Estimate, Row

#: Student's t of 95 %, both sides, by degrees of freedom from 1; of more it is hardly less.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
YES, NO, NOISE, ONE_SEED = "yes", "no", "within noise", "one seed cannot tell"


def estimate(name: str, seeds: Sequence[float]) -> Estimate:
    """Return the mean of what seeds gave, and half the width of its interval (Student's t)."""
    count = len(seeds)
    half = None
    if count > 1:
        half = _T[min(count - 1, len(_T)) - 1] * statistics.stdev(seeds) / math.sqrt(count)
    rounded = tuple(round(each, 5) for each in seeds)
    return Estimate(
        name=name,
        mean=round(statistics.mean(seeds), 5),
        half_width=None if half is None else round(half, 5),
        seeds=rounded,
    )


def difference(name: str, seeds: Sequence[float], partner: Sequence[float]) -> Estimate:
    """Return the mean difference of two rows, seed by seed, as far as both have seeds."""
    return estimate(name, [one - other for one, other in zip(seeds, partner, strict=False)])


def order(found: Estimate, *, expected: float) -> str:
    """Say whether a difference has the sign that was expected: yes, no, within noise, or of one seed only.

    ``expected``: 1 where the difference should be positive, -1 where negative.
    """
    if found.half_width is None:
        return ONE_SEED
    if abs(found.mean) <= found.half_width:
        return NOISE
    return YES if found.mean * expected > 0 else NO


def table(rows: Sequence[Row]) -> str:
    """Lay out rows, one per line: estimates with their intervals, values, then what is said of them."""
    names = dict.fromkeys(each.name for row in rows for each in row.estimates)
    values = dict.fromkeys(name for row in rows for name, _ in row.values)
    words = dict.fromkeys(name for row in rows for name, _ in row.words)
    lines = []
    for row in rows:
        found = {each.name: each for each in row.estimates}
        numbers, said = dict(row.values), dict(row.words)
        cells = [cell(found[name]) if name in found else "–" for name in names]
        cells += [figures(numbers[name]) if name in numbers else "–" for name in values]
        lines.append([COLUMNS[""](row), *cells, *(said.get(name, "–") for name in words)])
    return markdown(["", *names, *values, *words], lines)


def cell(found: Estimate) -> str:
    """Write a mean and its interval with as many digits as the interval has something to say."""
    if found.half_width is None:
        return figures(found.mean)
    digits = 0 if found.half_width >= 10 else 1 if found.half_width >= 0.95 else 2
    return f"{found.mean:.{digits}f} ± {found.half_width:.{digits}f}"
