"""What a report says of a cascade: what is promised of which texts, who answers what, and how sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeroberta.figures import ABSENT, decimals, points, score
from edgeroberta.report import cascade_plots
from edgeroberta.report.section import Section
from edgeroberta.report.table import Cells, Column, Table

Found = Mapping[str, Any]

#: Points of the front that a table has; the drawing has all that are near what was asked.
_SHOWN = 12


def sections(found: Found | None) -> Iterator[Section]:
    """Lay out what was chosen for a cascade and how it did.

    Args:
        found: As a report's JSON has it: ``engine`` that the thresholds were chosen on, ``rows_of`` (their
            ``source``, how many ``rows``, and whether they were ``set_aside`` of the training rows),
            ``choice``, a :class:`edgeroberta.cascade.CascadeChoice` as JSON, ``fresh``, by engine the
            ``agreement`` on the fresh rows, and ``heldout``, by engine the ``agreement``, its ``interval``,
            ``rows`` and ``tiers`` on held-out rows, each with ``name``, ``share``, ``texts``, and
            ``agreement`` and ``score`` on these. None where the bundle is of one model and never was to be a
            cascade.
    """
    if found is None:
        return
    choice = found["choice"]
    yield Section(
        "Cascade" if choice["kept"] else "No cascade",
        tuple(_promise(found)),
        _tiers(choice),
    )
    if (heldout := _heldout(found)) is not None:
        yield heldout
    if len(choice["front"]) > 1:
        yield Section(
            "Mean time against agreement",
            (
                "From the strictest thresholds on, each faster than those before it. The bound is what is "
                f"sure with {_percent(choice['confidence'])} confidence of these thresholds alone; the "
                "promise is kept up to the first ones whose bound is below what was asked. The time is what "
                "the tiers' mean times add up to.",
            ),
            _front(choice),
            tuple(cascade_plots.front(choice)),
        )
    yield Section(
        "How sure the tiers are",
        (
            "Fresh texts in the order of a tier's confidence, a tenth in each line. A tier is worth asking "
            "where its last lines agree and its first ones do not.",
        ),
        _reliability(choice),
        tuple(cascade_plots.reliability(choice)),
    )


def _promise(found: Found) -> Iterator[str]:
    choice = found["choice"]
    yield f"{_capital(choice['reason'])}."
    rows_of = found.get("rows_of")
    if rows_of is not None:
        kind = (
            "rows set aside of the training data, which nothing in this run has learnt from"
            if rows_of["set_aside"]
            else "texts that were named as those to come"
        )
        copies = "" if choice["rows"] == rows_of["rows"] else f", {choice['rows']:,} of them different"
        yield (
            f"The promise is of texts like those that it was measured on: {rows_of['rows']:,} {kind} "
            f"({rows_of['source']}){copies}. Of other texts it says nothing."
        )
    yield (
        f"Temperatures and the order of thresholds come of {choice['calibration_rows']:,} validation rows, "
        f"the thresholds and all figures below of the fresh texts, on {found['engine']}."
    )
    others = [
        f"{_exact(told['agreement'])} % on {engine}"
        for engine, told in (found.get("fresh") or {}).items()
        if engine != found["engine"]
    ]
    if others:
        yield f"With the same thresholds, agreement on these texts is {', '.join(others)}."


def _tiers(choice: Found) -> Table:
    metric = choice["metric"]
    cells: Cells[Found] = [
        (Column("tier", right=False), lambda tier: str(tier["name"])),
        (Column("answers", "%"), lambda tier: points(tier["share"])),
        (Column("from confidence on"), lambda tier: decimals(tier["threshold"], 4)),
        (Column("temperature"), _temperature),
        (Column("time", "ms"), lambda tier: decimals(1000 * tier["seconds"])),
        (Column("agreement of its answers", "%"), lambda tier: _exact(tier["agreement"])),
        (Column(f"{metric} of its answers"), lambda tier: score(metric, tier["score"])),
        (Column("agreement alone", "%"), lambda tier: _exact(tier["agreement_alone"])),
        (Column(f"{metric} alone"), lambda tier: score(metric, tier["score_alone"])),
    ]
    table = Table.by(cells, choice["tiers"])
    last = choice["tiers"][-1]["seconds"]
    whole = (
        f"All together: {decimals(1000 * choice['seconds'])} ms a text, {last / choice['seconds']:.2f} times "
        f"as fast as the last tier; agreement {_exact(choice['measured'])} %, {metric} "
        f"{score(metric, choice['score'])}."
    )
    return Table(table.columns, table.rows, (whole,) if choice["kept"] else ())


def _heldout(found: Found) -> Section | None:
    rows = [
        (engine, told, tier)
        for engine, told in (found.get("heldout") or {}).items()
        for tier in told["tiers"]
    ]
    if not rows:
        return None
    metric = found["choice"]["metric"]
    cells: Cells[tuple[str, Found, Found]] = [
        (Column("engine", right=False), lambda row: row[0]),
        (Column("agreement of all", "% (interval)"), lambda row: _interval(row[1])),
        (Column("tier", right=False), lambda row: str(row[2]["name"])),
        (Column("answers", "%"), lambda row: points(row[2]["share"])),
        (Column("agreement of its answers", "%"), lambda row: _exact(row[2]["agreement"])),
        (Column(f"{metric} of its answers"), lambda row: score(metric, row[2]["score"])),
    ]
    sentence = (
        "The promise was not measured on these rows. Where they are texts of the same kind, their agreement "
        "is as high; an interval that lies wholly below the promise says that they are of another kind."
    )
    return Section("The cascade on held-out rows", (sentence,), Table.by(cells, rows))


def _front(choice: Found) -> Table:
    metric, names = choice["metric"], [tier["name"] for tier in choice["tiers"]]
    last = choice["tiers"][-1]["seconds"]
    cells: Cells[Found] = [
        *(
            (Column(f"{name} answers", "%"), lambda point, number=number: points(point["shares"][number]))
            for number, name in enumerate(names)
        ),
        (Column("mean time", "ms"), lambda point: decimals(1000 * point["seconds"])),
        (Column("times as fast"), lambda point: f"{last / point['seconds']:.2f}"),
        (Column("agreement", "%"), lambda point: _exact(point["agreement"])),
        (Column("bound", "%"), lambda point: _exact(point["bound"])),
        (Column(metric), lambda point: score(metric, point["score"])),
        (Column("promise", right=False), lambda point: "kept" if point["kept"] else "not kept"),
    ]
    return Table.by(cells, _some(choice["front"]))


def _some(front: Sequence[Found]) -> list[Found]:
    """Choose points evenly, and the last with which the promise is kept."""
    kept = max(number for number, point in enumerate(front) if point["kept"])
    count = min(_SHOWN, len(front))
    chosen = {round(step * (len(front) - 1) / max(count - 1, 1)) for step in range(count)} | {kept}
    return [front[number] for number in sorted(chosen)]


def _reliability(choice: Found) -> Table:
    rows = [(tier["name"], each) for tier in choice["tiers"] for each in tier["reliability"]]
    cells: Cells[tuple[str, Found]] = [
        (Column("tier", right=False), lambda row: str(row[0])),
        (Column("texts"), lambda row: f"{row[1]['texts']:,}"),
        (Column("mean confidence"), lambda row: decimals(row[1]["confidence"], 4)),
        (Column("has the last tier's answer", "%"), lambda row: points(row[1]["agreeing"])),
        (Column("is right", "%"), lambda row: points(row[1]["right"])),
    ]
    return Table.by(cells, rows)


def _temperature(tier: Found) -> str:
    calibration = tier["calibration"]
    if calibration is None or calibration.get("values"):  # how far a number is off is measured by its value
        return ABSENT
    return decimals(calibration["temperature"])


def _interval(told: Found) -> str:
    low, high = told["interval"]
    return f"{_exact(told['agreement'])} ({_exact(low)} to {_exact(high)})"


def _exact(share: float | None) -> str:
    """Return a share in points, with two digits: agreements differ in the second."""
    return ABSENT if share is None else decimals(100 * share)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
