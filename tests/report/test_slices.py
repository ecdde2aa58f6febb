"""What a report says of slices, on a terminal, in Markdown, on a page and in a card."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import planted

from edgeroberta.evaluation import slices as measured
from edgeroberta.evaluation.limits import GateLimits, SliceLimits
from edgeroberta.report import slices


def report(limits: SliceLimits | None, *, sizes: tuple[int, ...] = (1000, 400, 8)) -> dict[str, Any]:
    """Of a model that loses a fifth of the second group."""
    gate = GateLimits(slices=limits)
    found = measured.measure(*planted.groups(sizes, (0, 0.2, 0)[: len(sizes)]), gate)
    return {
        "gate": asdict(gate),
        "engines": [{"engine": "onnxruntime", "slices": [asdict(each) for each in found]}],
    }


def test_a_table_has_what_each_slice_lost_and_what_a_small_one_needs():
    (section,) = slices.sections(report(SliceLimits(0.03)))
    assert section.title == "Slice by slice"
    assert section.sentences[0].startswith("With 95% the intervals of all slices hold at once")
    titles = [column.title for column in section.table.columns]
    assert titles[-3:] == ["drop of it alone at most", "verdict", "rows needed"]
    first, second, third = section.table.rows
    assert first[:4] == ("onnxruntime", "dialect=a", "1,000", "accuracy")
    assert (first[-2:], second[-2:], third[-2:]) == (
        ("PASS", ""),
        ("FAIL", ""),
        ("INCONCLUSIVE", "about 122"),
    )
    assert second[6].startswith("+")


def test_slices_that_are_only_told_have_no_verdict():
    (section,) = slices.sections(report(None))
    assert [column.title for column in section.table.columns][-1] == "agreement % (interval)"
    assert "PASS" not in section.sentences[0]
    assert slices.asked(report(None)["gate"]) is None


def test_what_the_gate_asks_of_slices_is_a_sentence():
    assert slices.asked({"slices": {"max_drop": 0.03, "min_agreement": 0.9}}) == (
        "On each slice, the metric may fall by at most 3.0 points and at least 90.0% of the answers must be "
        "the baseline's."
    )


def test_the_drawing_has_a_bar_a_slice_the_gate_and_escaped_names():
    made = report(SliceLimits(0.03))
    made["engines"][0]["slices"][0]["name"] = "<b>&" + "x" * 60
    (section,) = slices.sections(made)
    (drawn,) = section.figures[0].drawings
    assert drawn.count('class="range ') == 9  # a line with its ends
    assert drawn.count("<circle") + drawn.count('class="dot FAIL"') == 3
    assert "gate +3.0" in drawn
    assert "dialect=&lt;b&gt;&amp;xx" in drawn
    assert "<b>" not in drawn
    assert drawn.count("…") == 1


def test_reports_without_slices_and_those_of_before_have_no_section():
    assert list(slices.sections({"gate": {}, "engines": [{"engine": "onnxruntime"}]})) == []
    made = report(None)
    for each in made["engines"][0]["slices"]:
        each["drop"] = None
    assert next(slices.sections(made)).figures == ()
