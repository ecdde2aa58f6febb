"""What reports say of cascades."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from cascade.population import TASK, Population

from edgeroberta.cascade import choose
from edgeroberta.report import cascade_plots, pages
from edgeroberta.report.cascade import sections


def told(fresh=2000, **options):
    tiers, labels, fresh_labels = Population((2.0, 0.7), (0.001, 0.003, 0.01)).evidence(
        np.random.default_rng(0), fresh=fresh
    )
    choice = choose(TASK, tiers, labels=labels, fresh_labels=fresh_labels, **options)
    tier = {"name": "tier0", "share": 0.5, "texts": 400, "score": 0.9, "agreement": 0.985}
    return {
        "engine": "onnxruntime",
        "rows_of": {"source": "reviews.csv", "rows": fresh + 12, "set_aside": True},
        "choice": json.loads(json.dumps(choice.to_json())),
        "fresh": {name: {"agreement": 0.991} for name in ("onnxruntime", "openvino")},
        "heldout": {
            "openvino": {"agreement": 0.9912, "interval": [0.98, 0.996], "rows": 800, "tiers": [tier]}
        },
    }


def words(section):
    cells = [] if section.table is None else [cell for row in section.table.rows for cell in row]
    return " ".join([section.title, *section.sentences, *cells, *(section.table.footnotes)])


def test_one_model_has_no_section_of_a_cascade():
    assert list(sections(None)) == []


def test_a_cascade_is_told_with_its_promise_its_rows_and_its_tiers():
    found = told()
    promise, heldout, front, sure = sections(found)
    assert promise.title == "Cascade"
    assert "99 % of all have its answer, with 95 % confidence" in words(promise)
    assert "2,012 rows set aside of the training data" in words(promise)
    assert "2,000 of them different" in words(promise)
    assert "agreement on these texts is 99.10 % on openvino." in words(promise)
    assert len(promise.table.rows) == 3
    assert f"{0.01 / found['choice']['seconds']:.2f} times as fast" in words(promise)
    assert "99.12 (98.00 to 99.60)" in words(heldout)
    assert any("kept" in row for row in front.table.rows)
    assert len(front.table.rows) <= 13
    assert len(sure.table.rows) == 20


def test_rows_that_were_named_as_those_to_come_are_told_as_such():
    found = told()
    found["rows_of"] = {"source": "field.txt", "rows": 2000, "set_aside": False}
    told_rows = words(next(sections(found)))
    assert "2,000 texts that were named as those to come (field.txt). Of other texts" in told_rows


def test_a_promise_that_cannot_be_kept_is_told_with_what_can_be():
    found = told(fresh=200)
    promise, *_ = sections(found)
    assert promise.title == "No cascade"
    assert found["choice"]["reason"][1:] in words(promise)
    assert "times as fast" not in words(promise)


def test_without_held_out_rows_and_without_a_front_there_are_no_sections_of_them():
    found = told()
    del found["heldout"], found["rows_of"]
    found["choice"]["front"] = found["choice"]["front"][:1]
    assert [section.title for section in sections(found)] == ["Cascade", "How sure the tiers are"]


def test_drawings_show_every_point_that_is_near_what_was_asked_and_every_bin():
    found = told()
    _, _, front, sure = sections(found)
    for section in (front, sure):
        ElementTree.fromstring(section.figures[0].drawings[0])
    lines = [tag for tag in front.figures[0].drawings[0].splitlines() if tag.startswith("<polyline")]
    points = sum(point["bound"] >= 0.94 for point in found["choice"]["front"])
    assert 10 < points < len(found["choice"]["front"])
    assert [tag.count(",") for tag in lines] == [2, points, points]
    assert sure.figures[0].drawings[0].count("<circle") == 20


def test_a_tier_is_named_as_text_in_a_drawing():
    found = told()
    found["choice"]["tiers"][0]["name"] = "<b>&"
    *_, sure = sections(found)
    assert "&lt;b&gt;&amp;" in sure.figures[0].drawings[0]
    ElementTree.fromstring(sure.figures[0].drawings[0])


def test_numbers_are_drawn_without_a_diagonal():
    found = told()
    for tier in found["choice"]["tiers"]:
        for each in tier["reliability"]:
            each["confidence"] -= 1
    *_, sure = sections(found)
    assert "dashed" not in sure.figures[0].drawings[0]
    ElementTree.fromstring(sure.figures[0].drawings[0])


def test_a_page_holds_the_drawings():
    pytest.importorskip("jinja2")
    parts = list(sections(told()))
    text = pages.page([replace(parts[0], title="Verdict"), *parts], verdict="PASS")
    assert text.count("<svg") == 2
    assert "&lt;svg" not in text


def test_a_tier_that_always_has_the_last_one_s_answer_is_drawn_too():
    """All its shares are 1, and so is the axis' upper end."""
    bins = [{"confidence": sure, "agreeing": 1.0, "count": 10} for sure in (0.8, 0.95)]
    tier = {"name": "tiny", "threshold": 0.85, "reliability": bins}
    (figure,) = cascade_plots.reliability({"tiers": [tier]})
    assert figure.drawings[0].count("<circle") == 2
