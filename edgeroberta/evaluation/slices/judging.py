"""What the gate says to all slices together: the worst is named, and what a small one needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeroberta.evaluation.combined import ORDER
from edgeroberta.evaluation.limits import GateLimits, SliceLimits
from edgeroberta.evaluation.result import GateVerdict, Judgement, SliceResult
from edgeroberta.evaluation.slices.measuring import fewest
from edgeroberta.figures import interval as interval_text
from edgeroberta.figures import points

#: Slices that are named beside the worst; the table has all of them.
_SHOWN = 6


def judge(found: Sequence[SliceResult], gate: GateLimits, *, texts: int) -> Judgement:
    """Say what all slices together say, and of which.

    ``found``: at least one slice, with a verdict each. ``gate``: with its bounds on slices. ``texts``: how
    many different texts there are in all. Returns FAIL where one slice lost too much beyond doubt, PASS where
    each is within its bounds beyond doubt, INCONCLUSIVE otherwise, with the rows that every open slice needs.
    """
    said = _Words(gate.slices or SliceLimits(), fewest(gate))
    first, *others = sorted(found, key=lambda each: (_order(each), -beyond(each, said.limits)))
    alike = [each for each in others if each.verdict is first.verdict]
    reason = said.told(first)
    if first.verdict is GateVerdict.PASS:
        more = f"; of {len(found)} slices it is the nearest to its bounds" if alike else ""
        return Judgement(GateVerdict.PASS, reason + more)
    if first.verdict is GateVerdict.FAIL:
        return Judgement(GateVerdict.FAIL, reason + _beside([each.title for each in alike], "failed"))
    named = [f"{each.title}: {each.rows:,} rows, {said.needs(each)}" for each in alike]
    reason += _beside(named, "open")
    return Judgement(GateVerdict.INCONCLUSIVE, reason, _in_all((first, *alike), texts))


def beyond(found: SliceResult, limits: SliceLimits) -> float:
    """Return how far the end that decides is beyond its bound, below zero within; infinite where none is."""
    failed, ends = found.verdict is GateVerdict.FAIL, []
    if limits.max_drop is not None:
        end = None if found.drop is None else found.drop.low if failed else found.most
        ends.append(math.inf if end is None else end - limits.max_drop)
    if limits.min_agreement is not None:
        end = None if found.agreement is None else found.agreement.high if failed else found.least
        ends.append(math.inf if end is None else limits.min_agreement - end)
    known = [each for each in ends if each < math.inf] if failed else ends
    return max(known, default=math.inf)


@dataclass(frozen=True)
class _Words:
    """Sentences about slices."""

    limits: SliceLimits
    fewest: int | None  # texts that pass where nothing changes

    def told(self, found: SliceResult) -> str:
        """Say of a slice what decides about it."""
        if found.verdict is not GateVerdict.INCONCLUSIVE:
            return self._numbers(found)
        without = self.limits.max_drop is not None and found.drop is None
        if without or (self.fewest is not None and found.texts < self.fewest):
            why = f" ({found.note})" if without and found.note else ""
            return (
                f"slice {found.title}: {_counted(found)} cannot show {self._asked()}{why}; {self._it(found)}"
            )
        return f"{self._numbers(found)}; {self._it(found)}"

    def needs(self, found: SliceResult) -> str:
        """Say how many rows a slice needs."""
        noun = "different texts" if found.texts < found.rows else "rows" if not found.rows else ""
        if found.rows_needed is not None:
            return f"needs about {found.rows_needed:,} {noun}".rstrip()
        if self.fewest is not None and found.texts < self.fewest:
            return f"needs more than {self.fewest:,} {noun}".rstrip()
        return "so near to the limit that more rows would hardly decide"

    def _it(self, found: SliceResult) -> str:
        said = self.needs(found)
        return f"it {'' if said.startswith('needs') else 'is '}{said}"

    def _asked(self) -> str:
        asked = []
        if self.limits.max_drop is not None:
            asked.append(f"a drop of at most {_plain(self.limits.max_drop)} points")
        if self.limits.min_agreement is not None:
            asked.append(f"an agreement of at least {self.limits.min_agreement:.4%}")
        return " and ".join(asked)

    def _numbers(self, found: SliceResult) -> str:
        """Say how far the bound that decides is from its limit."""
        drop, agreement, limits = found.drop, found.agreement, self.limits
        asks_drop = limits.max_drop is not None and drop is not None
        if asks_drop and beyond(found, SliceLimits(limits.max_drop, None)) >= beyond(found, limits):
            assert drop is not None
            alone = (
                ""
                if found.verdict is GateVerdict.FAIL
                else f", of this slice alone at most {points(found.most)},"
            )
            return (
                f"the drop of {found.metric} in slice {found.title} is "
                f"{interval_text(drop.mean, drop.low, drop.high)} points{alone} on {_counted(found)}, "
                f"the gate allows {points(limits.max_drop)}"
            )
        assert agreement is not None
        assert limits.min_agreement is not None
        return (
            f"the same answer on {agreement.mean:.1%} ({agreement.low:.1%} to {agreement.high:.1%}) of "
            f"{_counted(found)} in slice {found.title}, the gate asks for {limits.min_agreement:.1%}"
        )


def _beside(named: Sequence[str], state: str) -> str:
    """Name slices beside the worst, the worst of them first."""
    if not named:
        return ""
    more = f", and {len(named) - _SHOWN} more in the table" if len(named) > _SHOWN else ""
    return f"; {state} beside it: {', '.join(named[:_SHOWN])}{more}"


def _order(found: SliceResult) -> int:
    return ORDER.index(found.verdict or GateVerdict.PASS)


def _counted(found: SliceResult) -> str:
    copies = f" of {found.texts:,} texts" if found.texts < found.rows else ""
    return f"{found.rows:,} {'row' if found.rows == 1 else 'rows'}{copies}"


def _plain(share: float) -> str:
    return f"{100 * share:.4g}"


def _in_all(open_: Sequence[SliceResult], texts: int) -> int | None:
    """Return how many rows of all kinds have enough of every open slice, where that can be told."""
    if any(each.rows_needed is None or not each.texts for each in open_):
        return None
    return max(math.ceil(texts * (each.rows_needed or 0) / each.texts) for each in open_)
