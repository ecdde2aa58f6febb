"""The Pareto front of accuracy against latency: what is on it, its table, its drawing."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from edgeroberta.report.pareto import ParetoPoint, pareto_front, pareto_json, pareto_svg, pareto_table

GOLDEN = Path(__file__).parent / "golden" / "pareto.svg"
POINTS = (
    ParetoPoint("baseline", 5.9, 0.885, 125_000_000),
    ParetoPoint("int8", 1.7, 0.881, 33_000_000),
    ParetoPoint("3 layers", 0.9, 0.868, 28_000_000),
    ParetoPoint("2 layers", 0.95, 0.842, 27_000_000),
)


def test_the_front_leaves_out_what_another_point_beats_in_both():
    assert [point.name for point in pareto_front(POINTS)] == ["3 layers", "int8", "baseline"]


def test_of_equally_fast_points_the_better_one_is_on_the_front():
    assert pareto_front([ParetoPoint("a", 1.0, 0.8), ParetoPoint("b", 1.0, 0.9)]) == (
        ParetoPoint("b", 1.0, 0.9),
    )


def test_the_table_lists_the_fastest_first_and_marks_the_front():
    assert pareto_table(POINTS).text().splitlines() == [
        "                 p50  accuracy      size",
        "*  3 layers  0.90 ms    86.8 %   28.0 MB",
        "   2 layers  0.95 ms    84.2 %   27.0 MB",
        "*  int8      1.70 ms    88.1 %   33.0 MB",
        "*  baseline  5.90 ms    88.5 %  125.0 MB",
    ]


def test_the_json_says_of_each_point_whether_it_is_on_the_front():
    found = pareto_json(POINTS, metric="accuracy")
    assert [(row["name"], row["pareto"]) for row in found["points"]] == [
        ("baseline", True),
        ("int8", True),
        ("3 layers", True),
        ("2 layers", False),
    ]


def test_the_drawing_is_the_golden_one():
    drawn = pareto_svg(POINTS, title="SST-2", floor=0.867)
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDEN.write_text(drawn, encoding="utf-8")
    assert drawn == GOLDEN.read_text(encoding="utf-8")


def test_the_drawing_is_xml_with_one_mark_and_one_name_for_each_point():
    odd = [ParetoPoint("a < b & c", 1.0, 0.5, series="mine"), ParetoPoint("d", 2.0, 0.75, series="theirs")]
    root = ElementTree.fromstring(pareto_svg(odd, title='5 > 4 "quoted"'))
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b & c", "d", "mine", "theirs", '5 > 4 "quoted"'} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 2 + 2  # and the legend's


@pytest.mark.parametrize("metric", ["accuracy", "pearson"])
def test_points_lie_inside_the_plot(metric):
    root = ElementTree.fromstring(pareto_svg([ParetoPoint("only", 3.0, 1.0)], title="one", metric=metric))
    circle = next(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert 64 <= float(circle.get("cx", 0)) <= 696
    assert 64 <= float(circle.get("cy", 0)) <= 384


def test_names_of_points_in_one_place_do_not_hide_each_other():
    drawn = pareto_svg([ParetoPoint(f"point {number}", 1.0, 0.9) for number in range(4)], title="one place")
    root = ElementTree.fromstring(drawn)
    texts = [node for node in root.iter("{http://www.w3.org/2000/svg}text") if "point" in str(node.text)]
    assert len({(node.get("x"), node.get("y")) for node in texts}) == 4


def test_what_was_predicted_is_hollow_and_called_so():
    points = [
        ParetoPoint("here", 1.0, 0.9),
        ParetoPoint("there", 0.5, 0.8, predicted=True),
        ParetoPoint("worse", 2.0, 0.85),
    ]
    root = ElementTree.fromstring(pareto_svg(points, title="two"))
    circles = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    assert [circle.get("fill") == "none" for circle in circles] == [False, False, True]
    assert [circle.get("opacity") for circle in circles] == [None, "0.5", None]
    assert "there, predicted" in [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "0.50 ms predicted" in pareto_table(points).text()
    assert [row["predicted"] for row in pareto_json(points, metric="accuracy")["points"]] == [
        False,
        True,
        False,
    ]


def test_a_logarithmic_drawing_puts_equal_factors_at_equal_distances():
    points = [ParetoPoint(str(ms), ms, 0.8) for ms in (0.5, 1.0, 2.0)]
    drawn = pareto_svg(points, title="x", latency="mean latency", logarithmic=True)
    elements = list(ElementTree.fromstring(drawn))
    at = [float(element.get("cx", "")) for element in elements if element.tag.endswith("circle")]
    assert at[2] - at[1] == pytest.approx(at[1] - at[0], abs=0.2)
    assert "mean latency in ms" in [element.text for element in elements]


def test_a_name_that_stands_apart_is_led_to_its_point():
    near = [ParetoPoint(name, 1.0, 0.8 + part / 1000) for part, name in enumerate(("one", "two", "three"))]
    alone = pareto_svg([*near[:1], ParetoPoint("far", 9.0, 0.9)], title="t")
    assert 'class="leader"' not in alone
    assert pareto_svg([*near, ParetoPoint("far", 9.0, 0.9)], title="t").count('class="leader"') >= 1
