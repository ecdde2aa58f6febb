from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeroberta.api import data
from edgeroberta.data import load_splits
from edgeroberta.errors import DataError, UsageError
from edgeroberta.tasks import Problem, Task

ROWS = [{"text": f"film {number}", "label": ("bad", "good")[number % 2]} for number in range(40)]
TASK = Task(Problem.SINGLE_LABEL, ("bad", "good"))


class Frame:
    """As much of a pandas frame as is used: iterated, it gives the names of its columns."""

    def __iter__(self) -> Any:
        return iter(("text", "label"))

    def iterrows(self) -> Any:
        raise AssertionError("rows are taken all at once")

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return ROWS


def test_a_path_and_a_hub_name_stay_as_they_are():
    assert data.named(Path("rows.csv")) == "rows.csv"
    assert data.named("owner/name:part") == "owner/name:part"


@pytest.mark.parametrize("rows", [ROWS, iter(ROWS), Frame()], ids=["list", "iterator", "frame"])
def test_rows_in_memory_are_read_as_those_of_a_file(rows, tmp_path):
    spec = data.spec(rows, seed=3)
    assert spec is not None
    found = load_splits(spec, task=TASK)
    assert sorted([*found.train.texts, *found.validation.texts, *found.heldout.texts]) == sorted(
        row["text"] for row in ROWS
    )
    assert spec == data.spec(list(ROWS), seed=3)  # the same rows lie in the same file


def test_cells_may_be_of_numpy():
    name = data.named([{"text": np.str_("great"), "label": np.int64(1), "scores": np.array([0, 1])}])
    assert Path(name).read_text() == '{"text": "great", "label": 1, "scores": [0, 1]}\n'


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        (["great"], "data, row 1"),
        ([ROWS[0], {"text": {1}}], "data, row 2"),
        ([{"x": float("nan")}], "data, row 1"),
        ([{"text": "\ud800"}], "data, row 1"),
    ],
    ids=["no mapping", "no JSON", "not a number", "half a pair"],
)
def test_rows_that_cannot_be_kept_are_refused_by_their_number(rows, where):
    with pytest.raises(DataError) as caught:
        data.named(rows)
    assert caught.value.where == where


def test_columns_without_data_are_refused():
    assert data.spec(None, text=None) is None
    with pytest.raises(UsageError) as caught:
        data.spec(None, text_pair="other")
    assert caught.value.where == "--text-pair"


def test_a_text_alone_is_one_name_and_not_its_letters():
    assert data.several("openvino") == ("openvino",)
    assert data.several(["onnxruntime", "openvino"]) == ("onnxruntime", "openvino")
