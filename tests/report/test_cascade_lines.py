"""What is told of a cascade in a few lines."""

from __future__ import annotations

from typing import Any

from edgeroberta.report.cascade_lines import lines


def found(**choice: Any) -> dict[str, Any]:
    tiers = [
        {"name": "tiny", "threshold": 0.9, "share": 0.4},
        {"name": "middle", "threshold": None, "share": 0.0},
        {"name": "int8", "threshold": None, "share": 0.6},
    ]
    fields = {"kept": True, "reason": "because", "rows": 1182, "agreement": 0.99, "confidence": 0.95}
    return {
        "choice": {**fields, "tiers": tiers, **choice},
        "rows_of": {"source": "train.csv", "rows": 1200, "set_aside": True},
        "heldout": {"openvino": {"agreement": 0.995, "interval": [0.986, 0.999], "rows": 800, "tiers": []}},
    }


def test_tiers_promise_and_held_out_rows_are_told():
    assert list(lines(found())) == [
        "tiers: of 1,182 training rows set aside, tiny 40.0 %, int8 60.0 %",
        "promise: at least 99 % of such texts get the answer of int8, with 95 % confidence",
        "of 800 held-out rows 99.50 % do on openvino (98.60 to 99.90)",
        "left out, since asking it saves no time at this promise: middle",
    ]


def test_texts_that_were_named_are_told_as_such():
    told = found()
    told["rows_of"]["set_aside"] = False
    assert next(lines(told)).startswith("tiers: of 1,182 texts of their own, ")


def test_a_promise_that_cannot_be_kept_is_told_with_its_reason():
    assert list(lines(found(kept=False))) == ["no cascade: because"]


def test_one_model_has_no_lines():
    assert list(lines(None)) == []
