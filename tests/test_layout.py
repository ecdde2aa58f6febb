from __future__ import annotations

import pytest

from edgeroberta.layout import columns


def test_words_are_set_flush_left_and_numbers_flush_right():
    rows = [("engine", "ms", "status"), ("onnxruntime", "1.50", ""), ("openvino", "12.25", "ok")]
    assert columns(rows, left=(0, 2)) == [
        "engine          ms  status",
        "onnxruntime   1.50",
        "openvino     12.25  ok",
    ]


def test_rows_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="zip"):
        columns([("a", "b"), ("c",)], left=())
