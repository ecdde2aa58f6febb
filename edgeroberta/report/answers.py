"""The answers of both models side by side: confusion matrices, numbers against each other, reliability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeroberta.figures import ABSENT, decimals, points
from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.figure import Cell, Figure, Grid, shade
from edgeroberta.report.plots import LEFT, RIGHT, WIDTH, Plot, box, legend, line, shortened, svg, text
from edgeroberta.report.section import Section
from edgeroberta.report.table import Table
from edgeroberta.tasks.crosstab import NOTHING

Found = Mapping[str, Any]
#: Characters of a label.
_LABEL = 28


def sections(report: Found) -> Iterator[Section]:
    """Lay out what both models answered. ``report``: as JSON; one of version 0.9 and before has nothing."""
    found = report.get("answers") or {}
    drawn = [*_confusion(found), *_numbers(found), *_reliability(found)]
    if drawn:
        yield Section("The answers of both models", (), None, tuple(drawn))


def _confusion(found: Found) -> Iterator[Figure]:
    told = found.get("confusion")
    if not told:
        return
    square = told["labels"] == told["answers"]
    said = (
        "Rows are what is true, columns what was answered; percentages are of a row. Right ones are framed."
        if square
        else "Of each label, where it was found, missed, and wrongly said; percentages are of these."
    )
    if told["together"]:
        shown = len(told["labels"]) - 1
        said += (
            f" Of {shown + told['together']:,} labels the {shown} that are confused most have a row of"
            " their own."
        )
    names = ("baseline", f"compressed, {found['engine']}")
    grids = (
        Grid(
            name,
            "true" if square else "label",
            tuple(shortened(each, _LABEL) for each in told["answers"]),
            tuple(_rows(told, who, square)),
        )
        for name, who in zip(names, ("baseline", "compressed"), strict=True)
    )
    yield Figure(said, (), tuple(grids))


def _rows(told: Found, who: str, square: bool) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    for number, (label, counts) in enumerate(zip(told["labels"], told[who], strict=True)):
        total = sum(counts)
        cells = (
            Cell("")
            if not count and label == told["answers"][column] == NOTHING  # there is no end of nothing
            else Cell(
                f"{count:,}",
                f"{points(count / total)} %" if count else "",
                shade(count / total) if total else None,
                marked=column == (number if square else 0),
            )
            for column, count in enumerate(counts)
        )
        yield shortened(label, _LABEL), tuple(cells)


def _numbers(found: Found) -> Iterator[Figure]:
    told = found.get("numbers")
    if not told:
        return
    axis = LinearAxis.over([told["low"], told["high"]], most=told["high"])
    plot = Plot(axis, axis, 40, 40 + WIDTH - LEFT - RIGHT)
    size = (told["high"] - told["low"]) / told["squares"]
    most = max(count for _, _, count in told["counts"])
    parts = list(plot.axes("baseline", "compressed"))
    for x, y, count in told["counts"]:
        left, top = plot.at(told["low"] + x * size, told["low"] + (y + 1) * size)
        right, bottom = plot.at(told["low"] + (x + 1) * size, told["low"] + y * size)
        parts.append(box(left, top, right - left, bottom - top, f"h{shade((count / most) ** 0.5)}"))
    parts.append(plot.curve([(axis.low, axis.low), (axis.high, axis.high)], "grey dashed"))
    title = f"The {told['name']}, of the baseline and of the compressed model"
    yield Figure(
        f"{told['name'].capitalize()}, the baseline's across and the compressed model's upwards "
        f"({found['engine']}), of {told['texts']:,} texts: the stronger a colour, the more. On the line both "
        f"are equal; nineteen of twenty differ by at most {told['near']:.3g}.",
        (svg(title, parts, height=plot.bottom + 50),),
    )


def _reliability(found: Found) -> Iterator[Figure]:
    if not found.get("reliability"):
        return
    both = dict(zip(("baseline", f"compressed, {found['engine']}"), found["reliability"], strict=True))
    plot = Plot(LinearAxis(0.0, 1.0, 0.2), LinearAxis(0.0, 1.0, 0.2), 84, 340)
    kinds = [
        (f"{name}: error {points(each['error'])}", f"s{number}")
        for number, (name, each) in enumerate(both.items())
    ]
    named, _ = legend(kinds, 16)
    parts = [
        *named,
        *plot.axes(
            "probability that the model gives its answer", "right, %", lambda tick: f"{100 * tick:.0f}"
        ),
        plot.curve([(0, 0), (1, 1)], "grey dashed"),
    ]
    most = max(count for each in both.values() for count in each["counts"]) or 1
    below = 480
    for number, each in enumerate(both.values()):
        filled = [bin_ for bin_ in range(len(each["counts"])) if each["counts"][bin_]]
        dots = [(each["confidence"][bin_], each["accuracy"][bin_]) for bin_ in filled]
        parts += [plot.curve(dots, f"s{number}"), *plot.dots(dots, f"s{number}")]
        wide = (WIDTH - LEFT - RIGHT) / len(each["counts"])
        for bin_ in filled:
            high = 70 * each["counts"][bin_] / most
            left = LEFT + bin_ * wide + (2 + number * (wide / 2 - 2))
            parts.append(box(left, below - high, wide / 2 - 2, high, f"dot s{number}"))
    parts += [
        text(8, below - 74, "answers"),
        text(LEFT - 8, below + 4, "0", "end"),
        text(LEFT - 8, below - 56, f"{most:,}", "end"),
        line((LEFT, below), (WIDTH - RIGHT, below), "axis"),
    ]
    yield Figure(
        "How often answers are right by the probability that the model gave them, in ten bins; below, how "
        "many answers are in each. On the dashed line it is right as often as it says; below it, it is too "
        "sure. The error is the mean distance from that line in points, weighted by answers (ECE).",
        (
            svg(
                "Share of right answers by the probability that the models gave them",
                parts,
                height=below + 14,
            ),
        ),
        (),
        _bins(both),
    )


def _bins(both: Mapping[str, Found]) -> Table:
    titles = ["probability"]
    for name in both:
        titles += [f"{name}: answers", "mean probability %", "right %"]
    count = len(next(iter(both.values()))["counts"])
    return Table.of(titles, (_bin(both.values(), bin_, count) for bin_ in range(count)))


def _bin(both: Sequence[Found] | Any, bin_: int, count: int) -> list[str]:
    cells = [f"{decimals(bin_ / count, 1)} to {decimals((bin_ + 1) / count, 1)}"]
    for each in both:
        some = each["counts"][bin_] > 0
        cells.append(f"{each['counts'][bin_]:,}")
        cells += [points(each[name][bin_]) if some else ABSENT for name in ("confidence", "accuracy")]
    return cells
