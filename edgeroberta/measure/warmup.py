"""Warm-up: calls until the times hold still, so that what is measured is the steady state.

Engines allocate, choose kernels and fill caches in their first calls, and clocks ramp up; how long that
takes is the engine's own matter. The same inputs are called in windows, and the engine is warm when the
medians of two windows in a row lie within 5 % of each other. (Georges, Buytaert and Eeckhout,
"Statistically Rigorous Java Performance Evaluation", OOPSLA 2007, section 4.2, look at the variation within
a window; medians of windows are not upset by a single call that another program interrupts.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: How far the medians of two windows may lie apart, as a part of the smaller.
TOLERANCE = 0.05
#: Windows until it is given up; a row that is not steady by then says so.
MOST_WINDOWS = 10
#: No new window begins after this many seconds, but for the second.
MOST_SECONDS = 30.0


@dataclass(frozen=True)
class WarmUp:
    """How a warm-up went."""

    calls: int  # calls that were made
    steady: bool  # False when the times still moved at its end


def warm_up(
    window: Callable[[], list[float]],
    *,
    tolerance: float = TOLERANCE,
    most_windows: int = MOST_WINDOWS,
    most_seconds: float = MOST_SECONDS,
) -> WarmUp:
    """Call windows until two in a row take as long.

    ``window``: makes the calls of one window, on the same inputs each time; returns their seconds.
    ``tolerance``: how far two medians may lie apart, as a part of the smaller. ``most_seconds``: seconds
    after which no further window begins, two windows excepted. Returns how many calls it took, and whether
    they ended steady.
    """
    stop = time.monotonic() + most_seconds
    calls, last, steady = 0, np.inf, False
    for number in range(most_windows):
        if number >= 2 and time.monotonic() >= stop:
            break
        seconds = window()
        calls += len(seconds)
        middle = float(np.median(seconds))
        steady = abs(middle - last) <= tolerance * min(middle, last)
        last = middle
        if steady:
            break
    return WarmUp(calls, steady)
