"""Keeps an int8 graph inside its budget: a matmul whose rounding costs answers stays float.

The whole graph is measured against the float graph on texts that calibration did not see. Only when
too many answers change are single matmuls examined: each in turn is put back to float, and the one
that brings the logits closest to the float graph's stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgeroberta.progress import Progress
from edgeroberta.tasks import Comparable, Outputs, all_of_them

#: Texts that single matmuls are examined on: the logits' error ranks them well long before counted
#: answers do, and there is a graph to write and run for every one of them.
RANKING_TEXTS = 64

#: Runs a graph in which the named matmuls are float over the first so many texts.
Measure = Callable[[frozenset[str], int], Outputs]
#: Share of texts with the same answer, 0 … 1.
Agreement = Callable[[Outputs, Outputs], float]


@dataclass(frozen=True)
class FallbackResult:
    """The outcome."""

    fp32_fallback: Mapping[str, str]  # matmuls that stay float, with the reason for each
    agreement: float  # share of the texts that keep the float graph's answer
    error: float  # mean squared difference of the logits
    max_error: float  # largest absolute difference of a logit
    within_budget: bool  # False when the budget of float matmuls did not suffice


def fall_back_to_fp32(
    measure: Measure,
    agreement: Agreement,
    exact: Outputs,
    linear_ops: Sequence[str],
    *,
    min_agreement: float,
    max_float: int,
    progress: Progress,
    comparable: Comparable = all_of_them,
) -> FallbackResult:
    """Put back to float as few matmuls as the budget needs.

    ``measure``: runs the graph with a given set of float matmuls. ``exact``: outputs of the float
    graph. ``linear_ops``: all matmuls that may be put back. ``min_agreement``: share of the
    texts that must keep their answer, 0 … 1. ``comparable``: which numbers of outputs must be close. Returns
    what stays float and what that achieves; it is returned even when the budget is not met.
    """
    kept: dict[str, str] = {}
    outputs = measure(frozenset(), len(exact))
    share = agreement(exact, outputs)
    while share < min_agreement and len(kept) < max_float:
        left = [linear_op for linear_op in linear_ops if linear_op not in kept]
        if not left:
            break
        distance = partial(_error, comparable=comparable)
        linear_op = _worst(measure, exact, left, kept, distance, progress)
        better = measure(frozenset({*kept, linear_op}), len(exact))
        if distance(better, exact) >= distance(outputs, exact):
            break
        before, outputs = share, better
        share = agreement(exact, outputs)
        kept[linear_op] = (
            f"int8 kept {100 * before:.1f} % of the answers, under {100 * min_agreement:.1f} %; "
            f"float here brings {100 * share:.1f} %"
        )
    difference = np.abs(comparable(outputs.values) - comparable(exact.values))
    error = _error(outputs, exact, comparable=comparable)
    return FallbackResult(kept, share, error, float(difference.max()), share >= min_agreement)


def _worst(
    measure: Measure,
    exact: Outputs,
    linear_ops: Sequence[str],
    kept: Iterable[str],
    distance: Callable[[Outputs, Outputs], float],
    progress: Progress,
) -> str:
    """Return the matmul whose return to float brings the logits closest to the float graph's."""
    few = exact[:RANKING_TEXTS]
    errors = {}
    with progress.bar("find the matmul that costs answers", len(linear_ops), "matmuls") as advance:
        for linear_op in linear_ops:
            errors[linear_op] = distance(measure(frozenset({*kept, linear_op}), len(few)), few)
            advance(note=linear_op)
    return min(errors, key=lambda linear_op: errors[linear_op])


def _error(outputs: Outputs, exact: Outputs, *, comparable: Comparable) -> float:
    difference: NDArray[np.float32] = comparable(outputs.values) - comparable(exact.values)
    return float(np.square(difference).mean())
