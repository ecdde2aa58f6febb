"""The gate's bounds on the recall of single labels: what a metric over all labels does not show.

A PASS asks for all bounds at once, so it is wrong at most as often as the interval of the one bound that is
truly broken: no interval need be wider for that there are many (Berger, Multiparameter Hypothesis Testing and
Acceptance Sampling, 1982). A FAIL takes one bound of many, each of which has its chance of being wrong; they
share the probability of one (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from edgeroberta.evaluation.combined import ORDER
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, Judgement, LabelRecall
from edgeroberta.figures import interval as interval_text
from edgeroberta.figures import points
from edgeroberta.metrics import BootstrapOptions
from edgeroberta.metrics.recalls import LabelCounts, recall_drop_interval, recall_interval

#: Labels that are named beside the worst.
_SHOWN = 6


def measure(
    counts: Iterable[LabelCounts], gate: GateLimits, how: BootstrapOptions, *, among: int
) -> tuple[LabelRecall, ...]:
    """Find out how much of each label is lost; ``among``: how many bounds there are, see :func:`bounds`."""
    return tuple(_measured(each, gate, how, among) for each in counts)


def bounds(gate: GateLimits, labels: Sequence[str]) -> int:
    """Count the bounds on these labels, up to two for each."""
    return sum((each in gate.min_recall) + (gate.recall_drop(each) is not None) for each in labels)


def judge(found: Sequence[LabelRecall], noun: str) -> Judgement:
    """Say what all bounds together say, and of which label; ``noun``: what bears a label, in the plural."""
    first = worst(found)
    if first.verdict is GateVerdict.PASS:
        many = f"; of {len(found)} labels it is the nearest to its bounds" if len(found) > 1 else ""
        return Judgement(first.verdict, _told(first, noun) + many)
    others = [each.label for each in found if each.verdict is first.verdict and each is not first]
    reason = _told(first, noun)
    if others:
        state = "fails too" if first.verdict is GateVerdict.FAIL else "is open too"
        more = ", …" if len(others) > _SHOWN else ""
        reason += f"; that of {len(others)} more {state} ({', '.join(others[:_SHOWN])}{more})"
    return Judgement(first.verdict, reason)


def worst(found: Sequence[LabelRecall]) -> LabelRecall:
    """Return the label that is the furthest beyond its bound, or the nearest to it."""
    return min(found, key=lambda each: (ORDER.index(each.verdict), -_beyond(each)))


def _measured(counts: LabelCounts, gate: GateLimits, alone: BootstrapOptions, among: int) -> LabelRecall:
    least, most = gate.min_recall.get(counts.label), gate.recall_drop(counts.label)
    if not counts.count:
        open_ = GateVerdict.INCONCLUSIVE
        return LabelRecall(counts.label, 0, 0, None, None, None, least, most, open_)
    found, full = (float(each.sum() / counts.wanted.sum()) for each in (counts.ours, counts.full))
    shared = alone.shared(among)
    if (least is None or found >= least) and (most is None or full - found <= most):
        # The estimate is within its bounds, so nothing hangs on the end that would fail it.
        shared = replace(shared, samples=alone.samples)
    recall = recall_interval(counts, low=alone, high=shared)
    drop = recall_drop_interval(counts, low=shared, high=alone)
    said = [GateVerdict.PASS]
    if least is not None:
        said.append(_verdict(failed=recall.high < least, passed=recall.low >= least))
    if most is not None:
        said.append(_verdict(failed=drop.low > most, passed=drop.high <= most))
    return LabelRecall(
        counts.label,
        counts.count,
        counts.texts,
        full,
        recall,
        drop,
        least,
        most,
        min(said, key=ORDER.index),
    )


def _verdict(*, failed: bool, passed: bool) -> GateVerdict:
    if failed:
        return GateVerdict.FAIL
    return GateVerdict.PASS if passed else GateVerdict.INCONCLUSIVE


def _beyond(found: LabelRecall) -> float:
    """Return how far the deciding end of an interval is beyond its bound."""
    return max(_ends(found), default=float("inf"))


def _ends(found: LabelRecall) -> list[float]:
    """Return how far each bound's deciding end is beyond it, that of the recall first."""
    failed, ends = found.verdict is GateVerdict.FAIL, []
    if found.recall is not None and found.least is not None:
        ends.append(found.least - (found.recall.high if failed else found.recall.low))
    if found.drop is not None and found.most is not None:
        ends.append((found.drop.low if failed else found.drop.high) - found.most)
    return ends


def _told(found: LabelRecall, noun: str) -> str:
    if found.recall is None or found.drop is None:
        return f"the recall of {found.label} is not known, there are no such {noun}"
    counted = f"{found.count:,} such {noun}"
    ends = _ends(found)
    # Of two bounds the one that decides.
    if found.least is not None and ends[0] == max(ends):
        low, mean, high = (f"{each:.1%}" for each in (found.recall.low, found.recall.mean, found.recall.high))
        return (
            f"the recall of {found.label} is {mean} ({low} to {high}) on {counted}, the baseline's "
            f"{found.baseline:.1%}, the gate asks for {found.least:.1%}"
        )
    drop = found.drop
    return (
        f"the drop of the recall of {found.label} is {interval_text(drop.mean, drop.low, drop.high)} points "
        f"on {counted}, the gate allows {points(found.most)}"
    )
