"""Compares the answers of two machines, and names each row where they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_SHOWN = 60

Answer = Mapping[str, Any]


def differences(
    texts: Sequence[str], here: Sequence[Answer], there: Sequence[Answer], *, atol: float
) -> list[str]:
    """Compare row by row: ids and refusals exactly, the label exactly, the logits within a tolerance.

    Args:
        texts: What was asked.
        here: Answers of this machine.
        there: Answers of the other one.
        atol: Largest absolute difference of a logit.

    Returns:
        A line per row that differs.
    """
    found = []
    for row, (text, ours, theirs) in enumerate(zip(texts, here, there, strict=True)):
        for what in ("refused", "ids", "truncated", "label"):
            if ours.get(what) != theirs.get(what):
                found.append(
                    f"row {row}, {text[:_SHOWN]!r}: {what} is {ours.get(what)!r} here (logits "
                    f"{ours.get('logits')}), {theirs.get(what)!r} there (logits {theirs.get('logits')})"
                )
                break
        else:
            largest = deviation(ours, theirs)
            if not largest <= atol:
                found.append(
                    f"row {row}, {text[:_SHOWN]!r}: logits differ by {largest:.3g}, allowed {atol:.3g}"
                )
    return found


def deviation(ours: Answer, theirs: Answer) -> float:
    """Return the largest absolute difference of a logit: 0 where both were refused, NaN where one is NaN."""
    pairs = zip(ours.get("logits", ()), theirs.get("logits", ()), strict=True)
    gaps = [abs(one - other) for one, other in pairs]
    return math.nan if any(map(math.isnan, gaps)) else max(gaps, default=0.0)


def margin(answer: Answer) -> float:
    """Return by how much the label's logit leads the next one."""
    first, second = sorted(answer["logits"], reverse=True)[:2]
    return float(first - second)
