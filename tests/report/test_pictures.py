"""What is drawn is what was measured."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, replace

import example_reports
import pytest

from edgeroberta.evaluation.per_stage import PerStageMetrics, StageRow
from edgeroberta.report import answers, flips, interval_plot, latency_plot, linear_ops, waterfall
from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.row_chart import ChartRow, row_chart
from edgeroberta.tasks import Problem


def boxes(drawing: str, kind: str) -> list[tuple[float, float]]:
    """Return where the boxes of a kind begin and end, from left to right."""
    found = re.findall(rf'<rect class="{kind}" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawing)
    return [(float(x), float(x) + float(width)) for x, width in found]


def told(problem: Problem = Problem.SINGLE_LABEL, **options):
    return example_reports.make(problem, **options).to_json()


def test_a_confusion_matrix_has_the_counts_of_both_models_and_frames_what_is_right():
    found = told(labels=("a", "b", "c"))
    (section,) = answers.sections(found)
    figure = section.figures[0]
    for grid, name in zip(figure.grids, ("baseline", "compressed"), strict=True):
        assert grid.columns == ("a", "b", "c")
        assert [label for label, _ in grid.rows] == ["a", "b", "c"]
        counts = found["answers"]["confusion"][name]
        assert [[cell.text for cell in cells] for _, cells in grid.rows] == [
            [str(count) for count in row] for row in counts
        ]
        assert [[cell.marked for cell in cells].index(True) for _, cells in grid.rows] == [0, 1, 2]
        first = grid.rows[0][1][0]
        assert first.note == f"{100 * counts[0][0] / sum(counts[0]):.1f} %"
        assert first.shade == 1 + int(counts[0][0] / sum(counts[0]) * 8.999)


def test_where_several_labels_may_apply_only_what_was_found_is_framed():
    (section,) = answers.sections(told(Problem.MULTI_LABEL, labels=("a", "b", "c")))
    for grid in section.figures[0].grids:
        assert [[cell.marked for cell in cells] for _, cells in grid.rows] == [[True, False, False]] * 3


def test_many_labels_are_told_to_be_left_out():
    (section,) = answers.sections(told(labels=tuple(f"l{number}" for number in range(30)), rows=900))
    assert "Of 30 labels the 12 that are confused most have a row of their own." in section.figures[0].caption
    assert len(section.figures[0].grids[0].rows) == 13


def test_nothing_is_never_confused_with_nothing():
    (section,) = answers.sections(told(Problem.TOKENS, labels=("PER", "LOC")))
    grid = section.figures[0].grids[0]
    name, cells = grid.rows[-1]
    assert (name, cells[-1].text, cells[-1].shade) == ("nothing", "", None)


def test_a_reliability_diagram_has_a_dot_and_a_bar_for_each_bin_that_is_not_empty():
    found = told()
    (section,) = answers.sections(found)
    figure = section.figures[-1]
    filled = [sum(count > 0 for count in each["counts"]) for each in found["answers"]["reliability"]]
    for number, count in enumerate(filled):
        assert figure.drawings[0].count(f'<circle class="dot s{number}"') == count
        assert len(boxes(figure.drawings[0], f"dot s{number}")) == count
    assert len(figure.table.rows) == 10
    last = found["answers"]["reliability"][0]
    assert figure.table.rows[9][1:4] == (
        str(last["counts"][9]),
        f"{100 * last['confidence'][9]:.1f}",
        f"{100 * last['accuracy'][9]:.1f}",
    )


@pytest.mark.parametrize("problem", [Problem.REGRESSION, Problem.EMBEDDING, Problem.MASKED, Problem.SPANS])
def test_numbers_have_a_square_for_each_count(problem):
    found = told(problem)
    (section,) = answers.sections(found)
    drawn = section.figures[0].drawings[0]
    assert len(re.findall(r'<rect class="h\d"', drawn)) == len(found["answers"]["numbers"]["counts"])
    assert 'class="h9"' in drawn
    assert "400 texts" in section.figures[0].caption


def test_squares_stand_where_their_numbers_are_and_are_shaded_by_the_root_of_their_counts():
    found = told(Problem.REGRESSION)
    counts = ((0, 0, 1), (0, 2, 4), (2, 0, 2))
    found["answers"]["numbers"].update(low=0.0, high=3.0, squares=3, counts=counts)
    (section,) = answers.sections(found)
    shape = r'<rect class="(h\d)" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"'
    first, above, right = re.findall(shape, section.figures[0].drawings[0])
    assert [each[0] for each in (first, above, right)] == ["h5", "h9", "h7"]
    (x, y, width, height), up, across = ([float(part) for part in each[1:]] for each in (first, above, right))
    assert height == pytest.approx(width, abs=0.2)
    assert up[:2] == pytest.approx([x, y - 2 * height], abs=0.2)
    assert across[:2] == pytest.approx([x + 2 * width, y], abs=0.2)


def test_stages_hang_from_those_before_them():
    values = (("baseline", 0.9, None), ("distill", 0.86, 0.04), ("prune", 0.87, -0.01), ("build", 0.87, 0.0))
    rows = tuple(StageRow(stage, "graph", value, drop) for stage, value, drop in values)
    (figure,) = waterfall.figures(PerStageMetrics("accuracy", 9, 9, 9, rows))
    (drawn,) = figure.drawings
    (whole, same), ((low, high),), ((before, after),) = (
        boxes(drawn, f"dot {kind}") for kind in ("grey", "bad", "good")
    )
    assert whole[1] == pytest.approx(high, abs=0.2)
    assert low == pytest.approx(before, abs=0.2)
    assert same[0] == pytest.approx(after, abs=0.2)
    assert (high - low) / (after - before) == pytest.approx(4, abs=0.1)
    assert "86.0 (-4.0)" in drawn
    assert "striped" in figure.caption
    assert list(waterfall.figures(PerStageMetrics("accuracy", 9, 9, 9, rows[:1]))) == []


def test_tiers_of_a_cascade_hang_from_what_they_were_made_of():
    rows = [StageRow("baseline", "checkpoint", 0.9)]
    rows += [
        StageRow("distill", "checkpoint", value, 0.9 - value, tier=tier)
        for value, tier in ((0.8, "a"), (0.85, "b"))
    ]
    (figure,) = waterfall.figures(PerStageMetrics("accuracy", 9, 9, 9, tuple(rows)))
    bars = boxes(figure.drawings[0], "dot bad")
    assert bars[0][1] == pytest.approx(bars[1][1], abs=0.2)
    assert "a: distill" in figure.drawings[0]


def test_calls_are_drawn_from_the_fastest_to_the_ninety_ninth_hundredth():
    found = told()
    latency = found["engines"][0]["latency"]
    (figure,) = latency_plot.figures({"one": latency, "old": {**latency, "quantiles_ms": []}, "none": None})
    (line,) = re.findall(r'<polyline class="line s0" points="([^"]+)"', figure.drawings[0])
    points = [tuple(map(float, point.split(","))) for point in line.split()]
    assert len(points) == 100
    quantiles = latency["quantiles_ms"]
    part = math.log(quantiles[50] / quantiles[0]) / math.log(quantiles[99] / quantiles[0])
    (left, bottom), middle, (right, top) = points[0], points[50], points[99]
    assert middle[0] == pytest.approx(left + part * (right - left), abs=0.2)
    assert middle[1] == pytest.approx(bottom + 50 / 99 * (top - bottom), abs=0.2)
    assert figure.table.rows == (
        ("one", *(f"{latency['quantiles_ms'][share]:.2f}" for share in (1, 10, 25, 50, 75, 90, 99, 100))),
    )
    for odd in ([], [1.0], [0.0] * 101):
        assert list(latency_plot.figures({"odd": {**latency, "quantiles_ms": odd}})) == []


def test_a_layer_with_a_larger_error_has_a_stronger_colour_and_float_is_named():
    ops = example_reports.make(rows=40).linear_ops
    (section,) = linear_ops.sections(ops)
    (grid,) = section.figures[0].grids
    assert grid.columns == ("attention.qkv", "attention.output", "ffn.in", "ffn.out")
    shades = [[cell.shade for cell in cells] for _, cells in grid.rows]
    assert shades[3] == sorted(shades[3])
    assert (shades[0][0], shades[3][3]) == (1, 9)
    assert grid.rows[1][1][3].text == "float"
    tiers = [{"tier": tier, **each} for tier in ("a", "b") for each in ops]
    (section,) = linear_ops.sections(tiers)
    assert [grid.title for grid in section.figures[0].grids] == ["Error, a", "Error, b"]
    assert list(linear_ops.sections([])) == []


def test_an_interval_is_drawn_from_end_to_end_beside_the_gate():
    found = told()
    (figure,) = interval_plot.figures(found, 0.01)
    (drawn,) = figure.drawings
    assert drawn.count("<circle") == len(found["engines"])
    assert "gate +1.0" in drawn
    assert list(interval_plot.figures({**found, "engines": []}, 0.01)) == []


def test_long_names_leave_room_for_what_is_told_of_them():
    drawn = row_chart(
        "t",
        [ChartRow("n" * 90, "1.00 (0.90 to 1.10)", "s0", bar=(0, 1))],
        LinearAxis.over([0, 1]),
        across="x",
    )
    (name,) = re.findall("n+…", drawn)
    assert len(name) + len("1.00 (0.90 to 1.10)") < 62


def test_flips_in_a_page_are_ordered_by_the_baseline_s_confidence_and_a_few_are_in_markdown():
    report = example_reports.make(rows=600, listed=40)
    (page,), (few,) = (flips.sections(report.to_json(), page=page) for page in (True, False))
    sure = [float(row[1]) for row in page.listing.rows]
    assert sure == sorted(sure, reverse=True)
    assert len(page.listing.rows) == 40
    assert len(few.table.rows) == 10
    unsure = replace(report, flips=tuple(replace(each, confidence=None, text=None) for each in report.flips))
    (page,) = flips.sections(unsure.to_json(), page=True)
    assert page.listing.titles == ("row", "label", "baseline", "bundle")
    assert "--keep-examples" in page.sentences[0]
    assert asdict(page.listing)["texts"] is False
