"""What is told of a cascade in a few lines: at the end of a run and on a model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeroberta.figures import points


def lines(found: Mapping[str, Any] | None) -> Iterator[str]:
    """Say who answers how much, what is promised, and what held-out rows say to that.

    ``found``: as a report's JSON has it, see :func:`edgeroberta.report.cascade.sections`; None for one model.
    """
    if found is None:
        return
    choice = found["choice"]
    if not choice["kept"]:
        yield f"no cascade: {choice['reason']}"
        return
    asked = [tier for tier in choice["tiers"] if tier["threshold"] is not None]
    last = choice["tiers"][-1]
    shares = [f"{tier['name']} {points(tier['share'])} %" for tier in (*asked, last)]
    of = "training rows set aside" if found["rows_of"]["set_aside"] else "texts of their own"
    yield f"tiers: of {choice['rows']:,} {of}, {', '.join(shares)}"
    yield (
        f"promise: at least {100 * choice['agreement']:.4g} % of such texts get the answer of {last['name']},"
        f" with {100 * choice['confidence']:.4g} % confidence"
    )
    for engine, told in found["heldout"].items():
        low, high = told["interval"]
        yield (
            f"of {told['rows']:,} held-out rows {100 * told['agreement']:.2f} % do on {engine}"
            f" ({100 * low:.2f} to {100 * high:.2f})"
        )
    unused = [tier["name"] for tier in choice["tiers"][:-1] if tier["threshold"] is None]
    if unused:
        yield f"left out, since asking it saves no time at this promise: {', '.join(unused)}"
