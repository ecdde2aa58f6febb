"""Columns that slices go by: kept with the rows, and refused where they make none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgeroberta.data import DataSpec, MaskReader, load_heldout, load_splits
from edgeroberta.errors import DataError
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.SINGLE_LABEL, ("no", "yes"))
SPEC = DataSpec("x.csv", slice_columns=("dialect",))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(dialects: list[object], name: str = "x.csv", column: str = "dialect") -> None:
    rows = [
        {"text": f"text number {row}", "label": ("no", "yes")[row % 2], column: dialect}
        for row, dialect in enumerate(dialects)
    ]
    if name.endswith(".jsonl"):
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(map(str, row.values())) for row in rows]
        Path(name).write_text("\n".join([f"text,label,{column}", *lines]) + "\n")


def test_values_go_with_their_rows_and_change_neither_split_nor_digest():
    write([("scots", "irish")[row % 3 == 0] for row in range(60)])
    plain, kept = load_splits(DataSpec("x.csv"), task=TASK), load_splits(SPEC, task=TASK)
    assert plain.digest == kept.digest
    assert plain.heldout.texts == kept.heldout.texts
    assert plain.heldout.columns == {}
    numbers = [int(text.split()[-1]) for text in kept.heldout.texts]
    assert kept.heldout.columns == {
        "dialect": tuple(("scots", "irish")[number % 3 == 0] for number in numbers)
    }
    assert load_heldout(SPEC, TASK).columns == kept.heldout.columns
    assert kept.heldout.columns_digest != plain.heldout.columns_digest


def test_only_rows_to_measure_on_need_the_column():
    write(["scots", "irish"] * 20, "held.csv")
    write(["a", "b"] * 30, column="region")
    found = load_splits(replace(SPEC, eval_data="held.csv"), task=TASK)
    assert found.train.columns == {}
    assert found.heldout.columns["dialect"][:2] == ("scots", "irish")
    with pytest.raises(DataError, match="no column 'dialect' to tell rows apart by"):
        load_splits(SPEC, task=TASK)


def test_texts_of_which_no_token_can_be_masked_take_their_values_with_them(tokenizer_folder):
    masks = MaskReader.open(tokenizer_folder, 512)
    texts = ["\u200b" if row % 4 == 0 else f"film {row} is film {row} after all" for row in range(40)]
    records = ({"text": text, "dialect": str(row % 4)} for row, text in enumerate(texts))
    Path("x.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    spec = DataSpec("x.jsonl", eval_data="x.jsonl", slice_columns=("dialect",))
    found = load_heldout(spec, Task(Problem.MASKED, (), dimensions=20, mask_id=4), masks=masks)
    # One of the two numbers is whole, whatever is masked.
    numbers = [int(re.findall(r"film (\d+)(?!\S)", text)[0]) for text in found.texts]
    assert len(numbers) == 30
    assert found.columns["dialect"] == tuple(str(number % 4) for number in numbers)


@pytest.mark.parametrize(
    ("dialects", "said"),
    [
        (["scots"] * 40, "x.csv: column 'dialect' has the one value 'scots' in all 40 rows"),
        ([f"d{row}" for row in range(40)], "x.csv: column 'dialect' has 40 different values in 40 rows"),
        (
            ["scots", "irish", "", ""] * 10,
            "x.csv:4: nothing in column 'dialect', by which rows are told apart",
        ),
    ],
)
def test_columns_that_make_no_slices_are_refused(dialects, said):
    write(dialects)
    for load in (load_splits, load_heldout):
        with pytest.raises(DataError) as caught:
            load(SPEC, task=TASK)
        assert str(caught.value).startswith(said)
        assert (caught.value.code, caught.value.exit_code) == ("data.slices", 2)


def test_lists_null_and_nan_are_no_values():
    spec = replace(SPEC, data="x.jsonl")
    write([["a"], ["b"]] * 20, "x.jsonl")
    with pytest.raises(DataError, match=r"\['a'\] in column 'dialect', where slices need one value a row"):
        load_splits(spec, task=TASK)
    for missing in (None, float("nan")):
        write(["a", missing] * 20, "x.jsonl")
        with pytest.raises(DataError, match=r"nothing in column 'dialect'.*\(the first of 20 rows\)"):
            load_splits(spec, task=TASK)


def test_a_column_that_is_not_there_is_told_with_the_nearest():
    write(["a", "b"] * 20, column="dialekt")
    with pytest.raises(DataError) as caught:
        load_splits(SPEC, task=TASK)
    assert str(caught.value) == (
        "x.csv: no column 'dialect' to tell rows apart by; the columns are 'text', 'label', 'dialekt'\n"
        "  next: did you mean 'dialekt'?"
    )
    with pytest.raises(DataError, match="give the file a header"):
        load_splits(replace(SPEC, slice_columns=("#3",)), task=TASK)


def test_files_without_other_columns_are_refused(tokenizer_folder):
    Path("x.conll").write_text("Ann B-PER\nsings O\n\nBob B-PER\n" * 20)
    tags = Task(Problem.TOKENS, ("O", "B-PER"))
    with pytest.raises(DataError, match="a file of words and tags has no other columns"):
        load_splits(replace(SPEC, data="x.conll"), task=tags)
    Path("x.txt").write_text("\n".join(f"The film number {row} is great." for row in range(60)))
    masks = MaskReader.open(tokenizer_folder, 512)
    with pytest.raises(DataError, match=r"a \.txt file has no other columns"):
        load_splits(
            replace(SPEC, data="x.txt"), task=Task(Problem.MASKED, (), dimensions=20, mask_id=4), masks=masks
        )
