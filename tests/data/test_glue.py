from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import glue_folders as folders
import numpy as np
import pytest

from edgeroberta.data import DataSpec, glue, infer_task, load_heldout, load_splits
from edgeroberta.errors import DataError, UsageError
from edgeroberta.tasks import Problem, Task

SINGLE = Problem.SINGLE_LABEL
#: Names as models on the Hub have them that were trained on its data set ``glue``.
LABELS = {
    "CoLA": ("unacceptable", "acceptable"),
    "SST-2": ("negative", "positive"),
    "MRPC": ("not_equivalent", "equivalent"),
    "STS-B": ("score",),
    "QQP": ("not_duplicate", "duplicate"),
    "MNLI": ("entailment", "neutral", "contradiction"),
    "QNLI": ("entailment", "not_entailment"),
    "RTE": ("entailment", "not_entailment"),
    "WNLI": ("not_entailment", "entailment"),
}
METRICS = {"CoLA": "matthews", "MRPC": "f1", "QQP": "f1", "STS-B": "pearson"}


def spec_of(folder: Path, **more: Any) -> DataSpec:
    return DataSpec(str(folder), **more)


def expected(file: Path, name: str) -> list[tuple[str, ...]]:
    """Read a file as the Hub's loading script of GLUE does: csv without quotes."""
    columns = {
        "SST-2": ("sentence", "label"),
        "MRPC": ("#1 String", "#2 String", "Quality"),
        "STS-B": ("sentence1", "sentence2", "score"),
        "QQP": ("question1", "question2", "is_duplicate"),
        "MNLI": ("sentence1", "sentence2", "gold_label"),
        "QNLI": ("question", "sentence", "label"),
    }.get(name, ("sentence1", "sentence2", "label"))
    with file.open(encoding="utf-8") as handle:
        if name == "CoLA":
            return [(row[3], row[1]) for row in csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)]
        rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        found = [tuple(row[column] for column in columns) for row in rows]
    return [row for row in found if None not in row and "" not in row and row[-1] != "-"]


@pytest.mark.parametrize("name", folders.FOLDERS)
def test_every_task_is_read_as_the_hub_s_own_script_reads_it(tmp_path, name):
    folder = folders.FOLDERS[name](tmp_path)
    task = infer_task(spec_of(folder))
    assert task.labels == LABELS[name]
    assert task.problem is (Problem.REGRESSION if name == "STS-B" else SINGLE)
    dev = folder / ("dev_matched.tsv" if name == "MNLI" else "dev.tsv")
    heldout = load_heldout(spec_of(folder), task)
    rows = expected(dev, name)
    assert len(heldout) == len(rows) > 8
    assert heldout.source == str(dev)
    for row, text, label in zip(rows, heldout.inputs(), heldout.labels, strict=True):
        assert (text if isinstance(text, tuple) else (text,)) == row[:-1]
        if name == "STS-B":
            assert label == np.float32(row[-1])
        else:
            assert row[-1] in (str(label), LABELS[name][label])


@pytest.mark.parametrize("name", folders.FOLDERS)
def test_training_rows_are_trained_on_and_dev_rows_held_out(tmp_path, name):
    folder = folders.FOLDERS[name](tmp_path)
    told: list[str] = []
    task = infer_task(spec_of(folder))
    splits = load_splits(spec_of(folder), task=task, tell=told.append)
    train = expected(folder / "train.tsv", name)
    assert len(splits.train) + len(splits.validation) == len(train)
    assert splits.heldout.digest == load_heldout(spec_of(folder), task).digest
    assert told[0].startswith(f"{folder}: read as {name} of GLUE")


@pytest.mark.parametrize("name", folders.FOLDERS)
def test_a_task_is_judged_by_the_metric_of_glue(tmp_path, name):
    spec = spec_of(folders.FOLDERS[name](tmp_path))
    told: list[str] = []
    assert glue.judge(infer_task(spec), spec, None, told.append).metric == METRICS.get(name, "accuracy")
    assert (f"judged by {METRICS.get(name)}, as {name} is in GLUE; --metric chooses another" in told) == (
        METRICS.get(name) in ("matthews", "f1")
    )
    positive = [f"f1 is that of the second label, {LABELS[name][-1]!r}"]
    assert [line for line in told if line.startswith("f1")] == positive * (METRICS.get(name) == "f1")


def test_labels_are_the_model_s_by_name_whatever_their_order_and_case(tmp_path):
    folder = folders.mnli(tmp_path)
    reversed_ = Task(SINGLE, ("CONTRADICTION", "NEUTRAL", "ENTAILMENT"), pair=True)
    ours = load_heldout(spec_of(folder), infer_task(spec_of(folder))).labels
    theirs = load_heldout(spec_of(folder), reversed_).labels
    assert (theirs == 2 - ours).all()


def test_ids_are_the_model_s_by_name_too(tmp_path):
    folder = folders.sst2(tmp_path)
    ours = load_heldout(spec_of(folder), infer_task(spec_of(folder))).labels
    theirs = load_heldout(spec_of(folder), Task(SINGLE, ("positive", "negative"))).labels
    assert (theirs == 1 - ours).all()


@pytest.mark.parametrize("name", ["RTE", "SST-2"])
def test_labels_of_other_names_are_taken_by_place_and_said(tmp_path, name, caplog):
    folder = folders.FOLDERS[name](tmp_path)
    pair = name == "RTE"
    ours = load_heldout(spec_of(folder), infer_task(spec_of(folder))).labels
    theirs = load_heldout(spec_of(folder), Task(SINGLE, ("LABEL_0", "LABEL_1"), pair=pair)).labels
    assert (theirs == ours).all()
    first, second = LABELS[name]
    assert f"'{first}', '{second}' taken for 'LABEL_0', 'LABEL_1', in this order" in caplog.text


@pytest.mark.parametrize("labels", [("0", "1"), ("1", "0")])
def test_a_model_may_call_its_labels_by_the_ids_of_the_data(tmp_path, labels, caplog):
    folder = folders.sst2(tmp_path)
    ours = load_heldout(spec_of(folder), infer_task(spec_of(folder))).labels
    theirs = load_heldout(spec_of(folder), Task(SINGLE, labels)).labels
    assert [labels[each] for each in theirs] == [str(each) for each in ours]
    assert not caplog.records


def test_mismatched_rows_are_measured_on_by_choice(tmp_path):
    folder = folders.mnli(tmp_path)
    told: list[str] = []
    task = infer_task(spec_of(folder))
    load_splits(spec_of(folder), task=task, tell=told.append)
    other = folder / "dev_mismatched.tsv"
    assert f"{folder}: dev_mismatched.tsv is not used; to measure on it: --eval-data {other}" in told
    spec = spec_of(folder, eval_data=str(other))
    splits = load_splits(spec, task=task)
    assert (splits.heldout.source, len(splits.heldout)) == (str(other), 9)
    assert splits.validation.source == f"{folder}/dev_matched.tsv"
    assert load_heldout(spec, task).digest == splits.heldout.digest
    alone = load_heldout(DataSpec(str(other), eval_data=str(other)), task)
    assert alone.digest == splits.heldout.digest


def test_rows_without_an_agreed_label_are_left_out_and_counted(tmp_path, caplog):
    folder = folders.mnli(tmp_path)
    told: list[str] = []
    task = infer_task(spec_of(folder))
    assert len(load_splits(spec_of(folder), task=task, tell=told.append).heldout) == 11
    note = f"{folder}/dev_matched.tsv: 1 row left out for the label '-' (line 4)"
    assert note in told
    load_heldout(spec_of(folder), task)
    assert note in caplog.text


def test_damaged_rows_of_qqp_are_left_out_and_counted(tmp_path):
    folder = folders.qqp(tmp_path)
    told: list[str] = []
    splits = load_splits(spec_of(folder), task=infer_task(spec_of(folder)), tell=told.append)
    assert len(splits.train) + len(splits.validation) == 398
    assert f"{folder}/train.tsv: 1 row left out for 4 fields where QQP has 6 (line 5)" in told
    assert f"{folder}/train.tsv: 1 row left out for an empty question2 (line 7)" in told


def test_quotes_swallow_no_lines(tmp_path):
    folder = folders.sst2(tmp_path)
    rows = [(f'"a film {i}' if i % 7 == 0 else f'film ""{i}""', i % 2) for i in range(700)]
    folders.write(folder / "train.tsv", rows, ("sentence", "label"))
    with (folder / "train.tsv").open() as handle:
        assert len(list(csv.DictReader(handle, delimiter="\t"))) < 400  # what quotes do to it
    splits = load_splits(spec_of(folder), task=infer_task(spec_of(folder)))
    assert len(splits.train) + len(splits.validation) == 700
    assert {'"a film 0', 'film ""1""'} <= {*splits.train.texts, *splits.validation.texts}


@pytest.mark.parametrize("ids", [True, False])
def test_mrpc_is_read_as_microsoft_distributes_it(tmp_path, ids):
    folder = folders.original_mrpc(tmp_path, ids=ids)
    told: list[str] = []
    task = infer_task(spec_of(folder))
    assert task.labels == LABELS["MRPC"]
    splits = load_splits(spec_of(folder), task=task, tell=told.append)
    file = "msr_paraphrase_train.txt" if ids else "msr_paraphrase_test.txt"
    assert (splits.heldout.source, len(splits.heldout)) == (f"{folder}/{file}", 8 if ids else 12)
    assert len(splits.train) + len(splits.validation) == (32 if ids else 40)
    unused = f"{folder}: msr_paraphrase_test.txt is not used"
    assert any(line.startswith(unused) for line in told) == ids
    assert set(splits.heldout.texts).isdisjoint(splits.train.texts)


def test_a_file_of_a_folder_is_read_as_the_folder_is(tmp_path):
    folder = folders.cola(tmp_path)
    spec = DataSpec(str(folder / "dev.tsv"), eval_data=str(folder / "dev.tsv"))
    task = Task(SINGLE, LABELS["CoLA"])
    assert load_heldout(spec, task).digest == load_heldout(spec_of(folder), task).digest


@pytest.mark.parametrize(("name", "other"), [("SST-2", "sst2"), ("STS-B", "stsb"), ("WNLI", "wnli")])
def test_folders_may_be_called_as_the_hub_calls_them(tmp_path, name, other):
    folder = folders.FOLDERS[name](tmp_path).rename(tmp_path / other)
    found = glue.named(spec_of(folder))
    assert found is not None
    assert found.name == name


def test_a_folder_is_known_from_within_it(tmp_path, monkeypatch):
    monkeypatch.chdir(folders.sst2(tmp_path))
    assert infer_task(DataSpec(".")).labels == LABELS["SST-2"]


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (folders.sst2, ("0", "1")),  # any folder of a sentence and a label
        (folders.wnli, ("0", "1")),
        (folders.rte, ("entailment", "not_entailment")),
    ],
)
def test_a_folder_of_another_name_keeps_its_own_labels(tmp_path, make: Callable[[Path], Path], labels):
    folder = make(tmp_path).rename(tmp_path / "mine")
    assert infer_task(spec_of(folder)).labels == labels


def test_columns_that_are_named_hold_whatever_the_folder_is(tmp_path):
    folder = folders.sst2(tmp_path)
    spec = spec_of(folder, text="sentence", label="label")
    assert infer_task(spec).labels == ("0", "1")
    assert glue.named(spec) is None


def test_a_folder_of_a_task_s_name_in_another_layout_is_read_as_any_other(tmp_path):
    folder = tmp_path / "RTE"
    folders.write(
        folder / "train.tsv",
        [(f"a {i}", f"b {i}", "xy"[i % 2]) for i in range(40)],
        ("text", "text_pair", "label"),
    )
    assert infer_task(spec_of(folder)) == Task(SINGLE, ("x", "y"), pair=True)


def test_other_labels_under_the_header_of_rte_are_none_of_its(tmp_path):
    folder = folders._pairs(tmp_path, "mine", ("sentence1", "sentence2"), ("yes", "no"))
    assert infer_task(spec_of(folder)).labels == ("no", "yes")


@pytest.mark.parametrize(
    ("data", "metric"),
    [("glue:mrpc", "f1"), ("nyu-mll/glue:cola", "matthews"), ("glue:mnli_matched", "accuracy")],
)
def test_the_hub_s_glue_is_judged_by_the_same_metrics(data, metric):
    task = Task(SINGLE, ("a", "b"))
    assert glue.judge(task, DataSpec(data), None, lambda line: None).metric == metric


def test_a_model_with_the_positive_label_first_is_judged_by_accuracy(tmp_path):
    spec, told = spec_of(folders.mrpc(tmp_path)), list[str]()
    task = Task(SINGLE, ("equivalent", "not_equivalent"), pair=True)
    assert glue.judge(task, spec, None, told.append).metric == "accuracy"
    what = "f1 is that of the second label, 'not_equivalent' here; MRPC means 'equivalent'"
    assert told == [f"{what}: judged by accuracy"]
    with pytest.raises(UsageError) as caught:
        glue.judge(task, spec, "f1", told.append)
    assert str(caught.value).startswith(f"--metric: {what}\n")
    assert (caught.value.exit_code, caught.value.code) == (2, "usage.metric-unknown")


def edited(file: Path, line: int, text: str | None) -> None:
    lines = file.read_text(encoding="utf-8").split("\n")
    lines[line - 1 : line] = [] if text is None else [text]
    file.write_text("\n".join(lines), encoding="utf-8")


def with_line(name: str, file: str, line: int, text: str | None) -> Callable[[Path], DataSpec]:
    def make(root: Path) -> DataSpec:
        folder = folders.FOLDERS[name](root)
        edited(folder / file, line, text)
        return spec_of(folder)

    return make


def evaluating(name: str, file: str) -> Callable[[Path], DataSpec]:
    def make(root: Path) -> DataSpec:
        folder = folders.FOLDERS[name](root)
        return spec_of(folder, eval_data=str(folder / file))

    return make


def many_damaged(root: Path) -> DataSpec:
    folder = folders.qqp(root)
    for line in range(10, 20):
        edited(folder / "train.tsv", line, "1\t2\t3")
    return spec_of(folder)


def emptied(root: Path) -> DataSpec:
    folder = folders.rte(root)
    (folder / "train.tsv").write_text("")
    return spec_of(folder)


def no_bytes_of_text(root: Path) -> DataSpec:
    folder = folders.mnli(root)
    file = folder / "train.tsv"
    file.write_bytes(file.read_bytes().replace(b"Someone left 4.", b"Someone left \xff."))
    return spec_of(folder)


def no_agreed_label(root: Path) -> DataSpec:
    folder = folders.mnli(root)
    rows = [(*"012345678", f"text {i}", "-", "-") for i in range(3)]
    folders.write(folder / "train.tsv", [(*row[:8], *row[8:]) for row in rows], folders.MNLI_TRAIN)
    return spec_of(folder)


def unpacked(root: Path) -> DataSpec:
    folders.rte(root)
    folders.cola(root)
    return spec_of(root)


def only_headers(root: Path) -> DataSpec:
    folder = folders.qnli(root)
    folders.write(folder / "train.tsv", [], ("index", "question", "sentence", "label"))
    return spec_of(folder)


def no_train(root: Path) -> DataSpec:
    folder = folders.rte(root)
    (folder / "train.tsv").unlink()
    return spec_of(folder)


def a_link_to_nothing(root: Path) -> DataSpec:
    folder = folders.rte(root)
    shutil.rmtree(folder)
    return spec_of(folder)


BAD: list[tuple[Callable[[Path], DataSpec], str, str, str]] = [
    (with_line("SST-2", "train.tsv", 1, None), "SST-2/train.tsv:1", "not the header of SST-2", "data.layout"),
    (with_line("MNLI", "train.tsv", 1, None), "MNLI/train.tsv:1", "not the header of MNLI", "data.layout"),
    (with_line("MRPC", "dev.tsv", 1, "a\tb"), "MRPC/dev.tsv:1", "not the header of MRPC", "data.layout"),
    (
        with_line("CoLA", "train.tsv", 1, "source\tlabel\tstar\tsentence"),
        "CoLA/train.tsv:1",
        "a header, which CoLA has not",
        "data.layout",
    ),
    (
        with_line("CoLA", "dev.tsv", 1, "source\tlabel\tstar\tsentence"),
        "CoLA/dev.tsv:1",
        "unknown label 'label'",
        "data.label-unknown",
    ),
    (
        with_line("CoLA", "train.tsv", 6, "gj04\t1\tIt is."),
        "CoLA/train.tsv:6",
        "3 fields where CoLA has 4",
        "data.layout",
    ),
    (
        with_line("RTE", "train.tsv", 6, "4\ta\tb"),
        "RTE/train.tsv:6",
        "3 fields where RTE has 4",
        "data.layout",
    ),
    (
        with_line("STS-B", "dev.tsv", 3, "\t".join("0123456789") + "\t5"),
        "STS-B/dev.tsv:3",
        "11 fields where STS-B has 10",
        "data.layout",
    ),
    (with_line("QNLI", "train.tsv", 4, "one"), "QNLI/train.tsv:4", "1 field where QNLI has 4", "data.layout"),
    (
        with_line("RTE", "dev.tsv", 5, "3\ta\tb\tentails"),
        "RTE/dev.tsv:5",
        "unknown label 'entails'",
        "data.label-unknown",
    ),
    (
        with_line("SST-2", "train.tsv", 7, "fine\t2"),
        "SST-2/train.tsv:7",
        "unknown label '2'",
        "data.label-unknown",
    ),
    (
        with_line("SST-2", "dev.tsv", 2, "fine\tpositive"),
        "SST-2/dev.tsv:2",
        "unknown label 'positive'",
        "data.label-unknown",
    ),
    (with_line("SST-2", "dev.tsv", 2, "\t1"), "SST-2/dev.tsv:2", "an empty sentence", "data.layout"),
    (with_line("WNLI", "train.tsv", 3, "1\ta\tb\t"), "WNLI/train.tsv:3", "an empty label", "data.layout"),
    (
        with_line("STS-B", "train.tsv", 3, "\t".join("012345678") + "\tgood"),
        "STS-B/train.tsv:3",
        "'good' is no score of STS-B, which are from 0 to 5",
        "data.label-unknown",
    ),
    *(
        (
            with_line("STS-B", "dev.tsv", 3, "\t".join("012345678") + f"\t{value}"),
            "STS-B/dev.tsv:3",
            f"'{value}' is no score",
            "data.label-unknown",
        )
        for value in ("nan", "5.1", "-0.2", "1,5")
    ),
    (evaluating("SST-2", "test.tsv"), "SST-2/test.tsv:1", "these are test rows of SST-2", "data.no-labels"),
    (evaluating("CoLA", "test.tsv"), "CoLA/test.tsv:1", "these are test rows of CoLA", "data.no-labels"),
    (evaluating("MRPC", "test.tsv"), "MRPC/test.tsv:1", "these are test rows of MRPC", "data.no-labels"),
    (evaluating("QQP", "test.tsv"), "QQP/test.tsv:1", "these are test rows of QQP", "data.no-labels"),
    (
        evaluating("MNLI", "test_mismatched.tsv"),
        "MNLI/test_mismatched.tsv:1",
        "these are test rows of MNLI",
        "data.no-labels",
    ),
    (evaluating("RTE", "other.tsv"), "RTE/other.tsv", "no such file or folder", "data.not-found"),
    (
        many_damaged,
        "QQP/train.tsv:5",
        "4 fields where QQP has 6, and 12 of 400 rows are damaged",
        "data.layout",
    ),
    (emptied, "RTE/train.tsv", "the file is empty", "data"),
    (only_headers, "QNLI/train.tsv", "no rows with a label", "data"),
    (no_bytes_of_text, "MNLI/train.tsv:6", "not UTF-8: byte 0xff", "data"),
    (no_agreed_label, "MNLI/train.tsv", "no rows with a label", "data"),
    (no_train, "RTE", "there are no training rows", "data"),
    (a_link_to_nothing, "RTE", "no such file or folder", "data.not-found"),
    (unpacked, "", "no train, validation or test file in this folder", "data"),
]


@pytest.mark.parametrize(("make", "where", "message", "code"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_a_file_that_is_not_as_glue_has_it_is_refused_with_its_line(tmp_path, make, where, message, code):
    spec = make(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.tsv")}
    with pytest.raises(DataError) as caught:
        load_splits(spec, task=None)
    assert caught.value.where == str(tmp_path / where)
    assert caught.value.what.startswith(message)
    assert (caught.value.exit_code, caught.value.code) == (2, code)
    assert caught.value.hint or message == "the file is empty"
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*.tsv")}


def test_a_folder_of_all_tasks_says_which_there_are(tmp_path):
    with pytest.raises(DataError) as caught:
        load_splits(unpacked(tmp_path), task=None)
    assert caught.value.hint == f"it holds tasks of GLUE, 'CoLA', 'RTE': name one, {tmp_path}/CoLA"


def test_a_metric_of_two_labels_can_be_asked_for_beside_values(tmp_path):
    spec, told = spec_of(folders.stsb(tmp_path)), list[str]()
    task = Task(Problem.SINGLE_LABEL, ("no", "yes"))
    assert glue.judge(task, spec, "f1", told.append).metric == "f1"
    assert told == ["f1 is that of the second label, 'yes'"]


def test_a_metric_without_a_name_is_refused():
    with pytest.raises(UsageError) as caught:
        glue.judge(Task(Problem.SINGLE_LABEL, ("a", "b")), None, "", print)
    assert caught.value.code == "usage.metric-unknown"
