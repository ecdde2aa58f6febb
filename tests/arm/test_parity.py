from __future__ import annotations

from arm.parity import differences, margin

OURS = {"ids": [0, 5, 2], "truncated": False, "label": "good", "logits": [-1.0, 2.0]}


def test_equal_answers_differ_in_nothing():
    theirs = {**OURS, "logits": [-1.01, 2.01]}
    refusal = {"refused": "lone surrogate"}
    assert differences(["a", "b"], [OURS, refusal], [theirs, refusal], atol=0.02) == []


def test_a_row_with_another_label_is_named():
    theirs = {**OURS, "label": "bad", "logits": [2.0, -1.0]}
    assert differences(["x", "a film"], [OURS, OURS], [OURS, theirs], atol=9) == [
        "row 1, 'a film': label is 'good' here (logits [-1.0, 2.0]), 'bad' there (logits [2.0, -1.0])"
    ]


def test_other_ids_other_logits_nan_and_a_refusal_are_named():
    rows = [
        {**OURS, "ids": [0, 6, 2]},
        {**OURS, "logits": [-1.0, 2.5]},
        {**OURS, "logits": [-1.0, float("nan")]},
        {"refused": "no"},
    ]
    found = differences(["a", "b", "c", "d"], [OURS] * 4, rows, atol=0.1)
    assert [line.split(":")[1].split()[0] for line in found] == ["ids", "logits", "logits", "refused"]
    assert "logits differ by 0.5, allowed 0.1" in found[1]


def test_the_margin_is_the_lead_of_the_label():
    assert margin(OURS) == 3
