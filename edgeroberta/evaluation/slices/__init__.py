"""Slices: is the compressed model as right as the baseline on every part of the rows, too?

:mod:`.asked` says which slices, :mod:`.grouping` which rows are in them, :mod:`.measuring` how much of each
is lost, and :mod:`.judging` what the gate says to that.
"""

from __future__ import annotations

from edgeroberta.evaluation.slices.asked import SliceKind, SlicesAsked, parse
from edgeroberta.evaluation.slices.grouping import RowSlice, find
from edgeroberta.evaluation.slices.judging import judge
from edgeroberta.evaluation.slices.measuring import measure

__all__ = ["RowSlice", "SliceKind", "SlicesAsked", "find", "judge", "measure", "parse"]
