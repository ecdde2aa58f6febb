"""From the times of probes to the times of layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeroberta.latency.grid import DEPTH, ProbePlan, ProbePrecision
from edgeroberta.latency.interpolation import monotone_fit
from edgeroberta.latency.probe_timing import ProbeTimings
from edgeroberta.latency.table import CallOverhead, LatencyTable

Floats = npt.NDArray[np.float64]


def fit(plan: ProbePlan, timings: ProbeTimings) -> LatencyTable:
    """Make the table of a plan's times: monotone, and exact where the engine's time is additive."""
    shallow = _shallow(plan, timings)
    deep = np.array([[timings.min_of_medians[plan.deep(h, w).name] for w in plan.widths] for h in plan.heads])
    middle = np.maximum(deep - shallow, 0.0) / (DEPTH - 1)
    least = monotone_fit(shallow[0, 0])
    last = np.maximum(shallow - least, 0.0)
    return LatencyTable(
        engine=plan.engine,
        version=timings.version,
        device=timings.device,
        threads=plan.threads,
        shape=plan.shape,
        activation=plan.activation,
        heads=plan.heads,
        widths=plan.widths,
        lengths=plan.lengths,
        least=tuple(least.tolist()),
        middle=_nested(monotone_fit(middle)),
        last=_nested(monotone_fit(last)),
        overhead=overhead(timings.tokens, timings.overheads),
        pads=timings.pads,
        noise=timings.noise,
        whole_float=_whole(plan, timings, ProbePrecision.FLOAT),
        whole_small=_whole(plan, timings, ProbePrecision.SMALL),
    )


def _shallow(plan: ProbePlan, timings: ProbeTimings) -> Floats:
    """Return the times of all shallow probes, those that were not timed as the sum of their two parts."""
    by_heads = np.array([timings.min_of_medians[plan.shallow(h, plan.widths[-1]).name] for h in plan.heads])
    by_width = np.array([timings.min_of_medians[plan.shallow(plan.heads[-1], w).name] for w in plan.widths])
    both = by_heads[:, None] + by_width[None] - by_heads[-1]
    # Where noise is larger than a part, the sum can be less than nothing.
    floor = np.minimum(by_heads[0], by_width[0]) / 2
    found: Floats = np.maximum(both, floor)
    return found


def _whole(plan: ProbePlan, timings: ProbeTimings, precision: ProbePrecision) -> tuple[float, ...]:
    times = np.array(timings.min_of_medians[plan.whole(precision).name])
    return tuple(monotone_fit(times).tolist())


def overhead(tokens: tuple[int, ...], seconds: tuple[float, ...]) -> CallOverhead:
    """Fit a line of least squares, neither part below 0, to what calls take beyond the engine."""
    x, y = np.array(tokens, np.float64), np.array(seconds)
    if np.ptp(x) == 0:
        return CallOverhead(float(y.mean()), 0.0)
    slope = max(0.0, float(np.polyfit(x, y, 1)[0]))
    return CallOverhead(max(0.0, float(y.mean() - slope * x.mean())), slope)


def _nested(values: Floats) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(row) for row in block) for block in values.tolist())
