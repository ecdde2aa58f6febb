"""Several judgements of one model: the worst decides."""

from __future__ import annotations

from edgeroberta.evaluation.result import GateVerdict, Judgement

#: From the worst to the best.
ORDER = (GateVerdict.FAIL, GateVerdict.INCONCLUSIVE, GateVerdict.PASS)


def combined(*judgements: Judgement) -> Judgement:
    """Return the worst of some judgements, with the reasons of all that say the same."""
    verdict = min((each.verdict for each in judgements), key=ORDER.index)
    said = [each for each in judgements if each.verdict is verdict]
    needed = [each.rows_needed for each in said]
    most = max((each for each in needed if each is not None), default=None)
    return Judgement(verdict, "; ".join(each.reason for each in said), None if None in needed else most)
