"""How label columns are read: the same from every kind of file, decided once, and never by a guess."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeroberta.data import DataSpec, infer_task, labels, load_heldout, load_splits
from edgeroberta.data.label_format import Format, LabelFormat
from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError, UsageError
from edgeroberta.tasks import Problem, Task

SINGLE, MULTI = Problem.SINGLE_LABEL, Problem.MULTI_LABEL
STARS = Task(SINGLE, ("1", "2", "3", "4", "5"))
SIGNS = Task(SINGLE, ("-1", "0", "1"))
SENTIMENT = Task(SINGLE, ("negative", "positive"))
TOPICS = Task(MULTI, ("billing", "delivery", "quality"))
TWO = Task(MULTI, ("billing", "delivery"))


def table(cells: list[Any], names: tuple[str, ...] | None = None) -> DataTable:
    stored = {} if names is None else {"label": names}
    return DataTable("x", {"text": [f"t {i}" for i in range(len(cells))], "label": cells}, label_names=stored)


def encoded(cells: list[Any], task: Task, **more: Any) -> list[Any]:
    return labels.encode(table(cells), "label", task, **more).labels.tolist()


# --- one reading, the same from every file ----------------------------------------------------------


def write_csv(file: Path, cells: list[Any], delimiter: str = ",") -> None:
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, delimiter=delimiter)
        writer.writerow(("text", "label"))
        writer.writerows((f"t {i}", cell) for i, cell in enumerate(cells))


def write_jsonl(file: Path, cells: list[Any]) -> None:
    lines = (json.dumps({"text": f"t {i}", "label": cell}) for i, cell in enumerate(cells))
    file.write_text("\n".join(lines), encoding="utf-8")


def write_parquet(file: Path, cells: list[Any]) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": [f"t {i}" for i in range(len(cells))], "label": cells}), file)


WRITERS: dict[str, Callable[[Path, list[Any]], None]] = {
    "x.csv": write_csv,
    "x.tsv": lambda file, cells: write_csv(file, cells, "\t"),
    "x.jsonl": write_jsonl,
    "x.parquet": write_parquet,
}

CELLS = st.one_of(
    *(
        st.lists(cell, min_size=2, max_size=6)
        for cell in (
            st.integers(-1, 5),
            st.sampled_from([0.0, 1.0, 2.0, 0.5, float("nan")]),
            st.booleans(),
            st.sampled_from(["negative", "positive", " positive", "1", "2", "nan"]),
            st.sampled_from(["negative", None]),
            st.lists(st.sampled_from(["billing", "delivery", "quality"]), max_size=3, unique=True),
            st.lists(st.integers(0, 1), min_size=2, max_size=3),
            st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=3),
            st.lists(st.booleans(), min_size=2, max_size=2),
        )
    )
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CELLS, st.sampled_from([None, STARS, SIGNS, SENTIMENT, TOPICS, TWO]))
def test_a_column_gives_the_same_labels_from_every_kind_of_file(tmp_path, cells, task):
    found = set()
    for name, write in WRITERS.items():
        write(tmp_path / name, cells)
        spec = DataSpec(str(tmp_path / name), eval_data=str(tmp_path / name))
        try:
            chosen = task or infer_task(spec)
            rows = load_heldout(spec, chosen)
            found.add((chosen, str(rows.labels.tolist())))
        except UsageError as error:
            found.add(type(error).__name__)
    assert len(found) == 1


@pytest.mark.parametrize("names", [("LABEL_0", "LABEL_1"), ("False", "True"), ("negative", "positive")])
@pytest.mark.parametrize("cells", [[True, False], ["True", "False"], ["TRUE", "FALSE"], ["true", "false"]])
def test_booleans_are_ids_or_names_in_any_case(names, cells):
    assert encoded(cells, Task(SINGLE, names)) == [1, 0]
    assert encoded(cells, Task(SINGLE, ("True", "False"))) == [0, 1]
    with pytest.raises(DataError, match="unknown label"):
        encoded(cells, Task(SINGLE, ("bad", "so so", "good")))


def test_numbers_that_pandas_made_floats_are_still_names():
    assert encoded([1.0, 5.0, 3.0], STARS) == [0, 4, 2]
    assert encoded(["1.0", "5.0", "3.0"], STARS) == [0, 4, 2]
    assert encoded([-1.0, 1.0], SIGNS) == [0, 2]


@pytest.mark.parametrize("cell", [float("nan"), float("inf"), "nan", "NaN"])
def test_not_a_number_is_no_label(cell):
    for read in (
        lambda: encoded(["positive", cell], SENTIMENT),
        lambda: labels.infer(table(["a", cell]), "label"),
    ):
        with pytest.raises(DataError) as caught:
            read()
        assert str(caught.value) == (
            f"x: row 2: {cell!r} is no label, in column 'label'\n  next: fill it in, or delete the row"
        )
    with pytest.raises(DataError, match="is no label"):
        encoded([["billing"], ["quality", cell]], TOPICS)
    if isinstance(cell, str):
        assert encoded(["naan", cell], Task(SINGLE, ("naan", cell))) == [0, 1]


# --- names or ids -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "cells", "names", "ids"),
    [
        (STARS, ["1", "4"], [0, 3], [1, 4]),
        (SIGNS, [0, 1], [1, 2], [0, 1]),
        (Task(MULTI, ("1", "2", "3")), [["1"], ["1", "2"]], [[1, 0, 0], [1, 1, 0]], [[0, 1, 0], [0, 1, 1]]),
    ],
)
def test_cells_that_are_names_and_ids_are_asked_for(task, cells, names, ids):
    with pytest.raises(UsageError) as caught:
        encoded(cells, task)
    assert not isinstance(caught.value, DataError)
    assert caught.value.exit_code == 2
    assert f"{cells[0]!r} in column 'label' can be read in two ways: as names it is " in str(caught.value)
    assert caught.value.hint == "say which is right: --label-format names, or --label-format ids"
    assert encoded(cells, task, asked=Format.NAMES) == names
    assert encoded(cells, task, asked=Format.IDS) == ids
    assert encoded(cells, task, kept=LabelFormat(Format.NAMES)) == names
    assert encoded(cells, task, kept=LabelFormat(Format.IDS)) == ids


def test_cells_that_can_only_be_one_of_both_need_no_option():
    assert encoded(["1", "5"], STARS) == [0, 4]
    assert encoded(["0", "1", "4"], STARS) == [0, 1, 4]
    assert encoded(["-1", "0"], SIGNS) == [0, 1]
    assert encoded(["1", "0"], Task(SINGLE, ("0", "1"))) == [1, 0]  # both, and the same


def test_what_the_training_rows_say_holds_for_all_files(tmp_path):
    write_csv(tmp_path / "train.csv", [str(1 + i % 5) for i in range(60)])
    write_csv(tmp_path / "test.csv", [str(1 + i % 3) for i in range(6)])  # names and ids alike, alone
    splits = load_splits(DataSpec(str(tmp_path)), task=STARS)
    assert splits.reading == LabelFormat(Format.NAMES)
    assert splits.heldout.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert load_heldout(DataSpec(str(tmp_path)), STARS).digest == splits.heldout.digest
    alone = DataSpec("-", eval_data=str(tmp_path / "test.csv"))
    with pytest.raises(UsageError, match="can be read in two ways"):
        load_heldout(alone, STARS)
    kept = replace(alone, kept=splits.reading)
    assert load_heldout(kept, STARS).digest == splits.heldout.digest
    assert load_heldout(replace(kept, label_format="ids"), STARS).labels.tolist() == [1, 2, 3, 1, 2, 3]


def test_a_file_that_does_not_fit_what_was_decided_is_refused(tmp_path):
    write_csv(tmp_path / "train.csv", [str(1 + i % 5) for i in range(60)])
    write_csv(tmp_path / "test.csv", ["0", "1", "2"])
    with pytest.raises(DataError) as caught:
        load_splits(DataSpec(str(tmp_path)), task=STARS)
    assert str(caught.value) == (
        f"{tmp_path}/test.csv:2: unknown label '0'; the labels are '1', '2', '3', '4', '5'\n"
        "  next: the training rows give labels as names, and so must this file"
    )


def test_where_no_label_is_a_number_one_file_may_have_names_and_another_ids():
    assert encoded(["1", "0"], SENTIMENT, kept=LabelFormat(Format.NAMES)) == [1, 0]
    assert encoded(["positive", "negative"], SENTIMENT, kept=LabelFormat(Format.IDS)) == [1, 0]


def test_an_unknown_format_and_one_of_another_task_are_refused():
    with pytest.raises(
        UsageError, match="--label-format: unknown format 'name'\n  next: did you mean 'names'"
    ):
        DataSpec("x.csv", label_format="name")
    with pytest.raises(UsageError, match="values are asked for, but the model tells labels"):
        encoded(["1"], STARS, asked=Format.VALUES)
    with pytest.raises(UsageError, match="ids are asked for, but the model gives one number per text"):
        encoded(["1"], Task(Problem.REGRESSION, ("score",)), asked=Format.IDS)


def test_a_name_where_ids_are_asked_for_is_not_said_to_be_misspelt():
    with pytest.raises(DataError, match="unknown label 'positive'") as caught:
        encoded(["positive", "negative"], SENTIMENT, asked=Format.IDS)
    assert "--label-format names" in caught.value.hint


def test_ids_that_are_read_as_such_are_told(tmp_path):
    write_csv(tmp_path / "x.csv", [str(i % 2) for i in range(60)])
    said: list[str] = []
    load_splits(
        DataSpec(str(tmp_path / "x.csv"), text="text", label="label"), task=SENTIMENT, tell=said.append
    )
    assert said == [f"{tmp_path}/x.csv: column 'label' is read as ids: 0 is 'negative', 1 is 'positive'"]


def test_whole_numbers_with_a_point_are_classes_or_values_as_asked():
    found = table([1.0, 2.0, 5.0])
    with pytest.raises(UsageError) as caught:
        labels.infer(found, "label")
    assert caught.value.hint == "say which is right: --label-format values, or --label-format names"
    assert labels.infer(found, "label", Format.NAMES) == (SINGLE, ("1", "2", "5"))
    assert labels.infer(found, "label", Format.VALUES) == (Problem.REGRESSION, ("score",))
    assert labels.infer(table([1, 2, 5]), "label", Format.VALUES) == (Problem.REGRESSION, ("score",))


def test_what_is_missing_among_whole_numbers_is_told_before_what_they_are():
    with pytest.raises(DataError, match="row 2: empty label in column 'label'"):
        labels.infer(table(["1.0", "", "2.0"]), "label")
    for numbers in ([1.0, float("nan"), 2.0], ["1.0", "nan", "2"], [1, "NaN"]):
        with pytest.raises(DataError, match=r"row 2: .* is no label, in column 'label'"):
            labels.infer(table(numbers), "label")
    assert labels.infer(table([0.5, float("nan")]), "label") == (Problem.REGRESSION, ("score",))


# --- lists of zeros and ones ------------------------------------------------------------------------


@pytest.mark.parametrize("one", [1, 1.0, True, "1"])
def test_one_zero_or_one_per_label_is_multi_hot(one):
    zero = type(one)(0) if not isinstance(one, str) else "0"
    cells = [[zero, one, one], [one, zero, zero], [zero, zero, zero]]
    found = labels.encode(table(cells), "label", TOPICS)
    assert found.labels.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert found.said == (
        "x: column 'label' is read as one 0 or 1 for each of 'billing', 'delivery', 'quality', in this order"
    )
    assert labels.infer(table(cells), "label") == (MULTI, ("LABEL_0", "LABEL_1", "LABEL_2"))


def test_lists_of_ids_stay_lists_of_ids():
    assert encoded([[0, 2], [1], []], TOPICS) == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_lists_that_are_both_are_asked_for():
    cells = [[0, 1], [1, 0]]  # each has both labels, as ids
    with pytest.raises(UsageError) as caught:
        encoded(cells, TWO)
    assert str(caught.value) == (
        "x: row 1: [0, 1] in column 'label' can be read in two ways: as ids it is 'billing', 'delivery', "
        "as multi-hot it is 'delivery'\n"
        "  next: say which is right: --label-format ids, or --label-format multi-hot"
    )
    assert encoded(cells, TWO, asked=Format.MULTI_HOT) == [[0, 1], [1, 0]]
    assert encoded([*cells, [0, 0]], TWO) == [[0, 1], [1, 0], [0, 0]]  # no id can be there twice
    with pytest.raises(
        UsageError, match="say which is right: --label-format multi-hot, or --label-format names"
    ):
        labels.infer(table(cells), "label")


def test_zeros_and_ones_of_another_number_of_labels_are_refused():
    with pytest.raises(
        DataError, match=r"row 1: \[0, 1, 0, 0\] has 4 zeros and ones, but the model has 3 labels"
    ):
        encoded([[0, 1, 0, 0], [1, 1, 0, 0]], TOPICS)


def test_one_hot_lists_serve_a_model_of_one_label_per_text():
    assert encoded([[0, 1], [1, 0]], SENTIMENT, asked=Format.MULTI_HOT) == [1, 0]
    assert encoded([["positive"], ["negative"]], SENTIMENT) == [1, 0]
    with pytest.raises(DataError, match="are not one label, but the model gives one label per text"):
        encoded([[1, 1], [1, 0]], SENTIMENT, asked=Format.MULTI_HOT)


def test_one_column_per_label_works_in_any_order(tmp_path):
    rows = "id,comment_text,quality,billing,delivery\n" + "".join(
        f"{i},t {i},{i % 2},{i // 2 % 2}.0,{bool(i // 4 % 2)}\n" for i in range(64)
    )
    (tmp_path / "wide.csv").write_text(rows)
    spec = DataSpec(str(tmp_path / "wide.csv"), text="comment_text", label="billing, delivery,quality")
    rows_of = load_heldout(replace(spec, eval_data=spec.data), TOPICS)
    assert rows_of.labels[:5].tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert infer_task(spec) == TOPICS
    assert load_splits(spec, task=TOPICS).reading == LabelFormat(
        Format.MULTI_HOT, ("billing", "delivery", "quality")
    )
    with pytest.raises(DataError) as caught:
        infer_task(replace(spec, label=None))
    assert caught.value.hint == ("one column of zeros and ones per label? --label quality,billing,delivery")
    with pytest.raises(DataError, match="no column 'qualty'"):
        infer_task(replace(spec, label="billing,qualty"))
    by_number = replace(spec, eval_data=spec.data, text="#2", label="#4,#5,#3")
    Path(spec.data).write_text(rows.split("\n", 1)[1])
    assert load_heldout(by_number, TOPICS).digest == rows_of.digest


def test_a_column_of_labels_that_holds_something_else_is_named(tmp_path):
    (tmp_path / "wide.csv").write_text("text,a,b\nx,0,1\ny,1,-1\n")
    with pytest.raises(DataError) as caught:
        infer_task(DataSpec(str(tmp_path / "wide.csv"), label="a,b"))
    assert str(caught.value).startswith(f"{tmp_path}/wide.csv:3: '-1' in column 'b' is not 0 or 1")


@pytest.mark.parametrize(
    ("cell", "task", "hint"),
    [
        ("billing,quality", TOPICS, "write several labels of one text with a bar: billing|quality"),
        ("negative|positive", SENTIMENT, None),
        ("2", SENTIMENT, "ids count from 0 to 1, and these from 1: take 1 off, or write names"),
        ("[billing quality]", TOPICS, "write several labels of one text with a bar, a|b, or as a JSON list"),
    ],
)
def test_what_is_no_label_gets_a_hint_that_helps(cell, task, hint):
    with pytest.raises(DataError) as caught:
        encoded(["negative" if "|" in cell else "1", cell], task)
    assert caught.value.hint == (
        hint
        or 'a model for several labels per text says "problem_type": "multi_label_classification" in '
        "its config.json"
    )


CONFIG = "set id2label and label2id in config.json"


def hint(cells: list[Any], task: Task, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        encoded(cells, task, **more)
    return str(caught.value.hint)


def test_rows_of_minus_one_are_called_unlabelled_only_where_they_are_few_and_the_rest_fits():
    said = "-1 often stands for 'no label': if it does here, delete these 4 rows"
    assert hint(["0", "1"] * 48 + ["-1"] * 4, SENTIMENT) == said
    assert hint(["0", "1"] * 48 + [-1.0] * 4, SENTIMENT) == said
    for cells in (["0", "1"] * 48 + ["-1"] * 6, ["0", "1"] * 48 + ["-1", "7"], ["1"] * 98 + ["-1"] * 2):
        assert "delete" not in hint(cells, SENTIMENT)
    assert hint([0, 1, -1], SENTIMENT).startswith(
        "the column holds 3 labels, the model has 2: write 'negative'"
    )


@pytest.mark.parametrize(
    ("cells", "written"),
    [
        (["1", "-1"], "'-1', '1'"),
        (["pos", "neg"], "'neg', 'pos'"),
        (["yes", "no"], "'no', 'yes'"),
        (["LABEL_1", "LABEL_0"], "'LABEL_0', 'LABEL_1'"),
    ],
)
def test_as_many_other_labels_as_the_model_has_may_be_other_names_for_them(cells, written):
    assert hint(cells, SENTIMENT) == (
        f"if {written} are other names for these, write 'negative', 'positive', or the ids 0 to 1, in column "
        f"'label'; or {CONFIG} to them, each at the id the model was trained with"
    )
    later = hint(cells, SENTIMENT, kept=LabelFormat(Format.NAMES))  # by then the names are settled
    assert later.startswith("write 'negative', 'positive', or the ids 0 to 1, in column 'label'; or name")


def test_names_in_rows_for_a_model_that_has_none_are_told_how_to_get_there():
    said = hint(["good", "bad"], Task(SINGLE, ("LABEL_0", "LABEL_1")))
    assert said.startswith(
        "if 'bad', 'good' are other names for these, write 'LABEL_0', 'LABEL_1', or the ids 0"
    )
    assert CONFIG in said


def test_lists_with_commas_are_several_labels_though_other_cells_are_empty():
    task = Task(SINGLE, TOPICS.labels)
    with pytest.raises(DataError) as caught:
        encoded(["billing", None, "billing,quality"], task)
    assert str(caught.value) == (
        "x: row 3: 'billing,quality' are not one label, but the model gives one label per text\n"
        '  next: a model for several labels per text says "problem_type": "multi_label_classification" in '
        "its config.json"
    )


@pytest.mark.parametrize("task", [TOPICS, Task(SINGLE, TOPICS.labels)])
def test_columns_for_some_of_the_labels_only_are_refused_with_those_to_name(tmp_path, task):
    (tmp_path / "wide.csv").write_text("text,billing,delivery,quality\nx,0,1,0\ny,1,0,1\n")
    with pytest.raises(DataError) as caught:
        load_splits(DataSpec(str(tmp_path / "wide.csv"), label="billing,quality"), task=task)
    assert caught.value.what.startswith("2 columns of labels, but the model has 3 labels: 'billing'")
    assert caught.value.hint == "name one column for each label: --label billing,delivery,quality"


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        ("x,1,-1\ny,-1,1\n", ": write 0 for -1"),
        ("x,0,1\ny,-1,-1\n", "; delete rows without labels"),
        ("x,0,1\ny,,\n", "; delete rows without labels"),
        ("x,0,1\ny,0.1,0.9\n", ""),
        ("x,0,1\ny,1,-1\n", ""),
    ],
)
def test_rows_of_columns_are_to_be_deleted_only_where_no_column_has_a_label(tmp_path, rows, more):
    (tmp_path / "wide.csv").write_text(f"text,a,b\n{rows}")
    with pytest.raises(DataError) as caught:
        infer_task(DataSpec(str(tmp_path / "wide.csv"), label="a,b"))
    assert caught.value.hint == f"one column per label holds 0 or 1 throughout{more}"


def test_minus_one_as_a_label_is_told():
    cells = [-1, 0, 1, 1]
    task = Task(*labels.infer(table(cells), "label"))
    assert task == SIGNS
    assert labels.encode(table(cells), "label", task).said == (
        "x: column 'label' is read as names: '-1', '0', '1'; -1 is a label, too, in 1 of 4 rows"
    )
    assert labels.encode(table([0, 1]), "label", SIGNS, asked=Format.NAMES).said == ""


# --- names that a data set brings along -------------------------------------------------------------


def test_a_data_sets_own_order_of_labels_counts_for_later_files_too():
    own = ("positive", "negative")
    found = labels.encode(table([0, 1], own), "label", SENTIMENT)
    assert found.labels.tolist() == [1, 0]
    assert found.said == "x: column 'label' is read as ids: 0 is 'positive', 1 is 'negative'"
    assert found.reading == LabelFormat(Format.IDS, own)
    assert encoded([0, 1], SENTIMENT, kept=found.reading) == [1, 0]
    assert encoded(["positive", "negative"], SENTIMENT, kept=found.reading) == [1, 0]
    assert LabelFormat.from_json(json.loads(json.dumps(found.reading.to_json()))) == found.reading


def test_labels_that_differ_in_case_alone_have_ids_of_their_own():
    task = Task(SINGLE, ("us", "US", "other"))
    assert encoded([0, 1, 2], task) == [0, 1, 2]
    own = table([0, 1, 2], ("US", "other", "us"))
    assert labels.encode(own, "label", task).labels.tolist() == [1, 2, 0]


def test_a_name_that_is_another_id_of_the_model_is_refused_rather_than_taken_by_its_place():
    task = Task(SINGLE, ("negative", "neutral", "positive"))
    with pytest.raises(DataError) as caught:
        labels.encode(table([0, 1, 2], ("Neutral", "bad", "good")), "label", task)
    assert caught.value.what.startswith("id 0 of column 'label' is 'Neutral', which is id 1 of the model;")
    # With none in common, or those at their places, places are all there is.
    assert labels.encode(table([2, 1], ("bad", "Neutral", "good")), "label", task).labels.tolist() == [2, 1]


def test_lists_of_a_data_sets_ids_are_read_in_its_order():
    own = table([[0, 1], [1]], ("delivery", "billing"))
    assert labels.encode(own, "label", TWO).labels.tolist() == [[1, 1], [1, 0]]


def test_labels_of_five_thousand_digits_are_unknown_labels():
    with pytest.raises(DataError, match="unknown label"):
        encoded(["1", "9" * 5000], SENTIMENT)


def test_the_reading_is_of_the_whole_column_not_of_the_cell():
    assert np.array_equal(encoded(["1", "2", "3", "5"], STARS), [0, 1, 2, 4])
