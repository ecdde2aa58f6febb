from __future__ import annotations

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeroberta.data import DataSpec, Rows, Texts, infer_task, load_heldout, load_splits, texts
from edgeroberta.errors import DataError, EdgeRobertaError, UnavailableError
from edgeroberta.tasks import Problem, Task

SENTIMENT = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
TOPICS = Task(Problem.MULTI_LABEL, ("plot", "music", "acting"))
SCORE = Task(Problem.REGRESSION, ("score",))
PAIRS = Task(Problem.SINGLE_LABEL, ("entailment", "not_entailment"), pair=True)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _write(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(text.encode())
    return name


def _reviews(count: int, *, first: int = 0, header: str = "text,label") -> str:
    """A CSV of ``count`` numbered texts, every fourth of them negative."""
    names = ("negative", "positive", "positive", "positive")
    return header + "\n" + "".join(f"review {i},{names[i % 4]}\n" for i in range(first, first + count))


def _texts(*parts: Texts | None) -> set[str]:
    return {text for part in parts if part is not None for rows in part.chunks() for text in rows.texts}


# --- splits ---------------------------------------------------------------------------------------


def test_the_parts_are_disjoint_complete_and_keep_the_labels_proportions():
    splits = load_splits(DataSpec(_write("x.csv", _reviews(400))), task=SENTIMENT)
    assert [len(splits.train), len(splits.validation), len(splits.heldout)] == [342, 18, 40]
    assert _texts(splits.train, splits.validation, splits.heldout) == {f"review {i}" for i in range(400)}
    assert np.bincount(splits.heldout.labels).tolist() == [10, 30]
    assert np.bincount(splits.validation.labels).tolist() == [5, 13]
    assert splits.labels == ("negative", "positive")
    assert splits.unlabelled is None


def test_labels_stay_with_their_texts():
    splits = load_splits(DataSpec(_write("x.csv", _reviews(100))), task=SENTIMENT)
    for part in (splits.train, splits.validation, splits.heldout):
        assert part.labels.dtype == np.int64
        assert [int(text.split()[1]) % 4 > 0 for text in part.texts] == part.labels.astype(bool).tolist()


def test_the_seed_and_nothing_else_moves_the_split():
    data = _write("x.csv", _reviews(100))
    first = load_splits(DataSpec(data), task=SENTIMENT)
    assert load_splits(DataSpec(data), task=SENTIMENT).digest == first.digest
    assert load_splits(DataSpec(data, seed=1), task=SENTIMENT).heldout.digest != first.heldout.digest


def test_another_held_out_fraction_takes_as_many_rows():
    splits = load_splits(DataSpec(_write("x.csv", _reviews(200)), eval_fraction=0.25), task=SENTIMENT)
    assert len(splits.heldout) == 50


def test_equal_texts_never_land_on_both_sides():
    rows = "".join(f"same  text {i % 30},{'positive' if i % 30 % 2 else 'negative'}\n" for i in range(300))
    rows += "".join(f" same text {i},{'positive' if i % 2 else 'negative'}\n" for i in range(30))
    splits = load_splits(DataSpec(_write("x.csv", "text,label\n" + rows), eval_fraction=0.3), task=SENTIMENT)
    parts = (splits.train, splits.validation, splits.heldout)
    words = [{" ".join(text.split()) for text in part.texts} for part in parts]
    assert sum(map(len, parts)) == 330
    assert sum(map(len, words)) == len(set.union(*words)) == 30


def test_copies_that_differ_in_spaces_or_case_stay_on_one_side():
    ways = ("Hello , world {}!", "hello, world {}!", " HELLO,  WORLD {} !", "hello\t, world {}!")
    rows = "".join(
        f'"{ways[i % 4].format(i // 4)}",{("positive", "negative")[i // 4 % 2]}\n' for i in range(120)
    )
    splits = load_splits(DataSpec(_write("x.csv", "text,label\n" + rows), eval_fraction=0.3), task=SENTIMENT)
    numbers = [{re.sub(r"\D", "", text) for text in part.texts} for part in (splits.train, splits.heldout)]
    assert len(splits.heldout) == 4 * len(numbers[1])
    assert not numbers[0] & numbers[1]


def test_distinct_texts_are_numbered_copies_alike():
    rows = Rows(("A b", "c", "a  B", "ab ", "c"), ("x", "x", "X", "x", "y"), None, "x")
    assert texts.groups(rows).tolist() == [0, 1, 0, 0, 2]
    assert texts.groups(replace(rows, pairs=None)).tolist() == [0, 1, 0, 0, 1]


def test_training_texts_among_the_rows_of_the_gate_are_counted():
    data, evaluation = (
        _write("x.csv", _reviews(60)),
        _write(
            "e.csv",
            _reviews(40, first=40)
            .upper()
            .replace("POSITIVE", "positive")
            .replace("NEGATIVE", "negative")
            .replace("TEXT,LABEL", "text,label"),
        ),
    )
    splits = load_splits(DataSpec(data, eval_data=evaluation, limit=50), task=SENTIMENT)
    assert (splits.leaked, len(splits.heldout)) == (20, 40)
    assert load_splits(DataSpec(data), task=SENTIMENT).leaked == 0


def test_every_label_stays_in_training_even_if_it_has_one_text():
    rows = _reviews(40) + "only one,mixed\n"
    task = Task(Problem.SINGLE_LABEL, ("mixed", "negative", "positive"))
    for seed in range(5):
        train = load_splits(DataSpec(_write("x.csv", rows), eval_fraction=0.5, seed=seed), task=task).train
        assert set(train.labels.tolist()) == {0, 1, 2}


def test_evaluation_data_is_the_held_out_part_entire_and_leaves_training():
    data, evaluation = _write("x.csv", _reviews(60)), _write("e.csv", _reviews(40, first=40))
    splits = load_splits(DataSpec(data, eval_data=evaluation), task=SENTIMENT)
    assert splits.heldout.texts == tuple(f"review {i}" for i in range(40, 80))
    assert _texts(splits.train, splits.validation) == {f"review {i}" for i in range(40)}
    assert len(splits.validation) == 2


def test_rows_that_are_left_out_are_reported(caplog):
    data, evaluation = _write("x.csv", _reviews(60)), _write("e.csv", _reviews(40, first=40))
    with caplog.at_level(logging.WARNING, "edgeroberta"):
        load_splits(DataSpec(data, eval_data=evaluation), task=SENTIMENT)
    assert caplog.messages == ["x.csv: 20 rows left out, also in e.csv"]


def test_a_limit_takes_a_seeded_sample_in_the_labels_proportions():
    data, evaluation = _write("x.csv", _reviews(400)), _write("e.csv", _reviews(100, first=500))
    spec = DataSpec(data, eval_data=evaluation, limit=40)
    splits = load_splits(spec, task=SENTIMENT)
    assert len(splits.train) + len(splits.validation) == 40
    assert np.bincount(splits.heldout.labels).tolist() == [10, 30]
    assert load_splits(spec, task=SENTIMENT).digest == splits.digest


@pytest.mark.parametrize("with_eval", [False, True])
@pytest.mark.parametrize("limit", [None, 30])
def test_the_held_out_rows_alone_are_those_of_the_splits(with_eval, limit):
    evaluation = _write("e.csv", _reviews(50, first=500)) if with_eval else None
    spec = DataSpec(_write("x.csv", _reviews(90)), eval_data=evaluation, limit=limit, seed=3)
    assert load_heldout(spec, SENTIMENT).digest == load_splits(spec, task=SENTIMENT).heldout.digest


def test_the_held_out_rows_can_be_read_when_the_training_rows_are_gone():
    spec = DataSpec("gone.csv", eval_data=_write("e.csv", _reviews(8)))
    assert len(load_heldout(spec, SENTIMENT)) == 8


def test_unlabelled_texts_come_along_without_those_of_the_gate():
    data = _write("x.csv", _reviews(40))
    lines = _write("more.txt", "review 0\nsomething else\n" + "".join(f"review {i}\n" for i in range(1, 40)))
    splits = load_splits(DataSpec(data, unlabelled=lines), task=SENTIMENT)
    assert [rows.labels for rows in splits.unlabelled.chunks()] == [None]
    assert _texts(splits.unlabelled) == _texts(splits.train) | {"something else"}


def test_unlabelled_pairs_have_both_texts():
    header = "premise\thypothesis\tlabel\n"
    rows = header + "".join(
        f"p {i}\th {i}\t{'entailment' if i % 2 else 'not_entailment'}\n" for i in range(30)
    )
    more = _write("more.jsonl", '{"premise": "p", "hypothesis": "h"}\n')
    splits = load_splits(DataSpec(_write("x.tsv", rows), unlabelled=more), task=PAIRS)
    assert [rows.inputs() for rows in splits.unlabelled.chunks()] == [[("p", "h")]]
    assert all(first[2:] == second[2:] for first, second in splits.heldout.inputs())


def test_training_rows_that_cannot_be_read_are_told_where_the_held_out_ones_are_read_alone(caplog):
    train = _write("train.csv", _reviews(8) + "no label,\n")
    rows = load_heldout(DataSpec(train, eval_data=_write("test.csv", _reviews(8, first=20))), SENTIMENT)
    assert len(rows) == 8
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        (
            "WARNING",
            "labels are read by the held-out rows alone, since the training rows cannot be read "
            "(train.csv:10: empty label in column 'label')",
        )
    ]


# --- folders and the Hub --------------------------------------------------------------------------


def test_a_folder_brings_its_own_parts():
    _write("d/train.csv", _reviews(20))
    _write("d/dev.csv", _reviews(8, first=100))
    _write("d/test.csv", _reviews(12, first=200))
    splits = load_splits(DataSpec("d"), task=SENTIMENT)
    assert [len(splits.train), len(splits.validation), len(splits.heldout)] == [20, 8, 12]
    assert load_heldout(DataSpec("d"), SENTIMENT).digest == splits.heldout.digest


@pytest.mark.parametrize("test_rows", ["text\nno label\n", "text,label\nhidden,-1\nhidden too,-1\n"])
def test_test_rows_without_labels_leave_the_gate_to_the_validation_rows(test_rows):
    _write("d/train.csv", _reviews(40))
    _write("d/validation.csv", _reviews(8, first=100))
    _write("d/test.csv", test_rows)
    splits = load_splits(DataSpec("d"), task=SENTIMENT)
    assert splits.heldout.texts == tuple(f"review {i}" for i in range(100, 108))
    assert [len(splits.train), len(splits.validation)] == [38, 2]


def test_columns_found_by_their_names_and_parts_that_are_not_used_are_told():
    _write("d/train.csv", _reviews(40))
    _write("d/validation.csv", _reviews(8, first=100))
    _write("d/test.csv", "text\nno label\n")
    said: list[str] = []
    load_splits(DataSpec("d"), task=SENTIMENT, tell=said.append)
    assert said == [
        "d/train.csv: text 'text', label 'label'; --text, --text-pair and --label choose other columns",
        "d: the test rows are not used, they have no labels",
    ]
    said.clear()
    evaluation = _write("e.csv", _reviews(8, first=200))
    named = DataSpec("d", text="text", label="label", eval_data=evaluation)
    load_splits(named, task=SENTIMENT, tell=said.append)
    assert said == ["d: the test rows are not used, e.csv is measured on"]


def _fake_hub(monkeypatch: pytest.MonkeyPatch, splits: Mapping[str, Any], calls: list[Any]) -> None:
    class Rows(dict):
        features: Mapping[str, Any]
        column_names = property(list)

    def load_dataset(name: str, configuration: str | None) -> dict[str, Rows]:
        calls.append((name, configuration))
        if name == "someone/nothing":
            raise FileNotFoundError("Dataset 'someone/nothing' doesn't exist on the Hub")
        loaded = {}
        for split, columns in splits.items():
            loaded[split] = Rows(columns)
            loaded[split].features = {
                "text": object(),
                "label": SimpleNamespace(names=["Positive", "Negative"]),
            }
        return loaded

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_a_hub_data_set_uses_its_own_splits_and_maps_its_ids_by_name(monkeypatch):
    calls: list[Any] = []
    train = {"text": [f"t {i}" for i in range(30)], "label": [i % 2 for i in range(30)]}
    hub = {"train": train, "test": {"text": ["good", "bad"], "label": [0, 1]}, "extra": {"text": ["x"]}}
    _fake_hub(monkeypatch, hub, calls)
    splits = load_splits(DataSpec("someone/reviews:short"), task=SENTIMENT)
    assert calls == [("someone/reviews", "short")]
    assert splits.heldout.texts == ("good", "bad")
    assert splits.heldout.labels.tolist() == [1, 0]  # the data set's ids are the other way round
    assert infer_task(DataSpec("someone/reviews")).labels == ("Positive", "Negative")


def test_mnli_on_the_hub_is_judged_by_its_matched_rows(monkeypatch):
    def rows(count: int, *, told: bool = True) -> dict[str, list[Any]]:
        labels = [i % 2 if told else -1 for i in range(count)]
        return {
            "premise": [f"p {count} {i}" for i in range(count)],
            "hypothesis": ["h"] * count,
            "label": labels,
        }

    hub = {"train": rows(60), "validation_matched": rows(8), "validation_mismatched": rows(6)}
    hub |= {f"test_{name}": rows(4, told=False) for name in ("matched", "mismatched")}
    _fake_hub(monkeypatch, hub, [])
    told: list[str] = []
    task = Task(Problem.SINGLE_LABEL, ("negative", "positive"), pair=True)
    splits = load_splits(DataSpec("nyu-mll/glue:mnli"), task=task, tell=told.append)
    assert splits.heldout.source == "nyu-mll/glue:mnli[validation_matched]"
    assert "nyu-mll/glue:mnli: the validation_mismatched rows are not used" in told


def test_a_hub_data_set_with_other_names_is_matched_by_position_and_says_so(monkeypatch, caplog):
    _fake_hub(monkeypatch, {"test": {"text": ["a", "b"], "label": [1, 0]}}, [])
    with caplog.at_level(logging.WARNING, "edgeroberta"):
        rows = load_heldout(DataSpec("someone/reviews"), Task(Problem.SINGLE_LABEL, ("LABEL_0", "LABEL_1")))
    assert rows.labels.tolist() == [1, 0]
    assert caplog.messages == [
        "someone/reviews[test]: 'Positive', 'Negative' taken for 'LABEL_0', 'LABEL_1', in this order"
    ]


def test_a_hub_data_set_with_another_number_of_labels_is_refused(monkeypatch):
    _fake_hub(monkeypatch, {"test": {"text": ["a", "b"], "label": [1, 0]}}, [])
    with pytest.raises(DataError) as caught:
        load_heldout(DataSpec("someone/reviews"), Task(Problem.SINGLE_LABEL, ("bad", "so so", "good")))
    assert str(caught.value) == (
        "someone/reviews[test]: column 'label' holds 'Positive', 'Negative'; "
        "the model's labels are 'bad', 'so so', 'good'\n"
        "  next: take a model of 2 labels, or rows of 3"
    )


def test_a_data_set_the_hub_does_not_have_is_a_data_error(monkeypatch):
    _fake_hub(monkeypatch, {}, [])
    with pytest.raises(DataError) as caught:
        load_splits(DataSpec("someone/nothing"), task=SENTIMENT)
    assert str(caught.value) == (
        "someone/nothing: no such file or folder, and not loaded from the Hub "
        "(FileNotFoundError: Dataset 'someone/nothing' doesn't exist on the Hub)\n"
        "  next: check the path or the id; offline, give a file"
    )
    assert caught.value.exit_code == 2


def test_a_hub_data_set_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UnavailableError) as caught:
        load_splits(DataSpec("someone/reviews"), task=SENTIMENT)
    assert str(caught.value) == (
        "'someone/reviews' is no file or folder here, and reading it from the Hub "
        "needs the package 'datasets', which is not installed\n  next: pip install 'edgeroberta[hub]'"
    )
    assert caught.value.exit_code == 4


def test_a_file_missing_from_a_folder_that_exists_is_not_looked_for_on_the_hub():
    Path("reviews").mkdir()
    with pytest.raises(DataError, match=r"^reviews/small: no such file or folder\n"):
        load_splits(DataSpec("reviews/small"), task=SENTIMENT)


# --- labels and columns ---------------------------------------------------------------------------


def _labels(cells: list[str], task: Task) -> Any:
    rows = "text,label\n" + "".join(f"t {i},{cell}\n" for i, cell in enumerate(cells))
    return load_heldout(DataSpec("-", eval_data=_write("x.csv", rows)), task).labels.tolist()


def test_labels_are_names_or_ids():
    assert _labels(["positive", "negative"], SENTIMENT) == [1, 0]
    assert _labels(["1", "0"], SENTIMENT) == [1, 0]
    assert _labels(["1.0", "0.0"], SENTIMENT) == [1, 0]


def test_numbers_that_are_names_count_as_names():
    stars = Task(Problem.SINGLE_LABEL, ("1", "2", "3"))
    assert _labels(["1", "3", "2"], stars) == [0, 2, 1]
    assert _labels(["0", "1", "2"], stars) == [0, 1, 2]  # "0" is no name, so all are ids


def test_several_labels_per_text_come_from_bars_lists_and_empty_cells():
    assert _labels(["plot|acting", "", "1"], Task(Problem.MULTI_LABEL, ("plot", "1", "acting"))) == [
        [1, 0, 1],
        [0, 0, 0],
        [0, 1, 0],
    ]
    lines = [
        {"text": "a", "labels": ["music", "plot"]},
        {"text": "b", "labels": []},
        {"text": "c", "labels": ["acting"]},
    ]
    data = _write("x.jsonl", "\n".join(map(json.dumps, lines)))
    rows = load_heldout(DataSpec("-", eval_data=data), TOPICS)
    assert rows.labels.dtype == np.float32
    assert rows.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_values_are_float32():
    rows = load_heldout(DataSpec("-", eval_data=_write("x.tsv", "text\tscore\na\t3\nb\t-1e-2\n")), SCORE)
    assert rows.labels.dtype == np.float32
    assert rows.labels.tolist() == [3, pytest.approx(-0.01)]


def test_text_is_kept_as_it_is():
    text = " a\0b\u2028c\u0085\td\U0001f600 "
    data = _write(
        "x.jsonl", json.dumps({"text": text, "label": 0}) + "\n" + json.dumps({"text": "x", "label": 1})
    )
    assert load_heldout(DataSpec("-", eval_data=data), SENTIMENT).texts == (text, "x")


def test_columns_without_a_header_go_by_number():
    rows = "".join(f'main\t{i % 5}.5\tA {i}.\tB "{i}\n' for i in range(40))
    spec = DataSpec(_write("sts.csv", rows), text="#3", text_pair="#4", label="#2")
    assert infer_task(spec) == Task(Problem.REGRESSION, ("score",), pair=True)
    splits = load_splits(spec, task=None)
    assert _texts(splits.train, splits.validation, splits.heldout) == {f"A {i}." for i in range(40)}
    assert splits.heldout.labels.dtype == np.float32


def test_a_usual_pair_of_columns_is_taken_as_a_pair():
    rows = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\tc\td\tnot_entailment\n"
    assert load_heldout(DataSpec("-", eval_data=_write("x.tsv", rows)), PAIRS).inputs() == [
        ("a", "b"),
        ("c", "d"),
    ]


def test_a_named_text_column_is_taken_alone():
    rows = "sentence1,sentence2,label\na,b,0\nc,d,1\n"
    spec = DataSpec("-", eval_data=_write("x.csv", rows), text="sentence2")
    assert load_heldout(spec, SENTIMENT).inputs() == ["b", "d"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["good", "bad", "good"], Task(Problem.SINGLE_LABEL, ("bad", "good"))),
        (["10", "9", "10"], Task(Problem.SINGLE_LABEL, ("9", "10"))),
        (["3.5", "4", "-1e3"], SCORE),
        (["3.5", "4", "many"], Task(Problem.SINGLE_LABEL, ("3.5", "4", "many"))),
        (["a|b", "", "c"], Task(Problem.MULTI_LABEL, ("a", "b", "c"))),
        ([["b"], ["a", "b"]], Task(Problem.MULTI_LABEL, ("a", "b"))),
        ([1, 0, 1], Task(Problem.SINGLE_LABEL, ("0", "1"))),
        ([1.0, 0.5], SCORE),
        ([True, False], Task(Problem.SINGLE_LABEL, ("false", "true"))),
    ],
)
def test_the_task_is_inferred_from_the_labels(cells, expected):
    lines = [json.dumps({"text": f"t {i}", "label": cell}) for i, cell in enumerate(cells)]
    assert infer_task(DataSpec(_write("x.jsonl", "\n".join(lines)))) == expected


def test_splits_of_an_inferred_task_use_its_labels():
    spec = DataSpec(_write("x.csv", _reviews(40)))
    assert load_splits(spec, task=None).digest == load_splits(spec, task=infer_task(spec)).digest


# --- rows -----------------------------------------------------------------------------------------


def test_rows_are_selected_in_the_order_asked_for():
    rows = Rows(("a", "b", "c"), ("x", "y", "z"), np.array([0, 1, 2]), "x")
    chosen = rows.select([2, 0])
    assert chosen.inputs() == [("c", "z"), ("a", "x")]
    assert chosen.labels.tolist() == [2, 0]
    assert len(chosen) == 2


def test_the_digest_tells_contents_apart_and_ignores_the_source():
    def digest(texts: tuple[str, ...], pairs: Any = None, labels: Any = None, source: str = "x") -> str:
        return Rows(texts, pairs, None if labels is None else np.array(labels), source).digest

    assert digest(("a", "b"), source="x") == digest(("a", "b"), source="y")
    others = [
        digest(("a", "b")),
        digest(("ab",)),
        digest(("b", "a")),
        digest(("a",), ("b",)),
        digest(("a", "b"), labels=[0, 1]),
        digest(("a", "b"), labels=[1, 0]),
        digest(("a", "b"), labels=[0.0, 1.0]),
    ]
    assert Counter(others).most_common(1)[0][1] == 1


# --- bad input ------------------------------------------------------------------------------------

GOOD = _reviews(40)
SHAPE_HINT = (
    "\n  next: name the columns, the same in every file: --text COLUMN, and --text-pair COLUMN for pairs"
)
FRACTION_HINT = "\n  next: to measure on a whole file, give it as the evaluation data"
TWO_HINT = "\n  next: rows of at least two labels are needed to train and to measure"
FILL_HINT = "\n  next: fill it in, or delete the row"


class Bad:
    """A mistake in files or settings: what is told of it; the data is the first file, or its folder."""

    def __init__(self, message: str, files: dict[str, str] | None = None, task: Any = SENTIMENT, **spec: Any):
        self.message, self.files, self.task = message, files or {}, task
        self.spec = {"data": next(iter(self.files), "x.csv").split("/")[0], **spec}


BAD = {
    "missing file": Bad("reviews.csv: no such file or folder\n  next: check the path", data="reviews.csv"),
    "missing evaluation file": Bad(
        "dev.csv: no such file or folder\n  next: check the path", {"x.csv": GOOD}, eval_data="dev.csv"
    ),
    "evaluation data is a folder": Bad(
        "d: is a folder, a file is needed here", {"x.csv": GOOD, "d/test.csv": GOOD}, eval_data="d"
    ),
    "named column is missing": Bad(
        "x.csv: no column 'Sentiment'; the columns are 'text', 'sentiment'\n"
        "  next: did you mean 'sentiment'?",
        {"x.csv": "text,sentiment\na,1\n"},
        label="Sentiment",
    ),
    "named column is far from all": Bad(
        "x.csv: no column 'body'; the columns are 'text', 'label'\n  next: name one of them: --text COLUMN",
        {"x.csv": "text,label\na,1\n"},
        text="body",
    ),
    "pair column is missing": Bad(
        "x.csv: no column 'hypothesis'; the columns are 'premise', 'hypotheses', 'label'\n"
        "  next: did you mean 'hypotheses'?",
        {"x.csv": "premise,hypotheses,label\na,b,1\n"},
        text="premise",
        text_pair="hypothesis",
        task=PAIRS,
    ),
    "no usual text column": Bad(
        "x.csv: no text column found among 'body', 'label'\n"
        "  next: name it: --text COLUMN; in a file without a header by number: --text '#1'",
        {"x.csv": "body,label\na,1\n"},
    ),
    "no usual label column": Bad(
        "x.csv: no label column found among 'text', 'verdict'\n"
        "  next: name it: --label COLUMN; in a file without a header by number: --label '#1'",
        {"x.csv": "text,verdict\na,1\n"},
    ),
    "the model takes pairs": Bad(
        "x.csv: the model takes pairs of texts and there is no second text column\n"
        "  next: name it: --text-pair COLUMN",
        {"x.csv": GOOD},
        task=PAIRS,
    ),
    "one column for two things": Bad(
        "--text, --text-pair, --label: the column 'text' is taken for two things",
        {"x.csv": GOOD},
        text="text",
        label="text",
    ),
    "one column for two things, one by default": Bad(
        "x.csv: the column 'text' is taken for both text and label", {"x.csv": GOOD}, label="text"
    ),
    "columns by name and number": Bad(
        "--text, --text-pair, --label: columns are given by name and by number; "
        "a file has a header or has none\n"
        "  next: give all by number, e.g. --text '#1' --label '#2'",
        {"x.csv": GOOD},
        text="#1",
        label="label",
    ),
    "label column has no number": Bad(
        "x.csv: a file without a header needs the numbers of both text and label\n"
        "  next: --text '#1' --label '#2'",
        {"x.csv": GOOD},
        text="#1",
    ),
    "column appears twice": Bad(
        "x.csv:1: the column 'label' is there 2 times", {"x.csv": "label,text,label\n1,a,0\n"}
    ),
    "empty text": Bad(
        f"x.csv:4: empty text in column 'text'{FILL_HINT}", {"x.csv": 'text,label\n"two\nlines",1\n  ,0\n'}
    ),
    "several empty texts": Bad(
        f"x.jsonl:2: empty text in column 'text' (the first of 2 rows){FILL_HINT}",
        {"x.jsonl": '{"text": "a", "label": 1}\n{"text": null, "label": 1}\n{"label": 0}\n'},
    ),
    "empty second text": Bad(
        f"x.tsv:3: empty text in column 'sentence2'{FILL_HINT}",
        {"x.tsv": "sentence1\tsentence2\tlabel\na\tb\tentailment\nc\t\tentailment\n"},
        task=PAIRS,
    ),
    "text is a number": Bad(
        "x.jsonl:2: column 'text' holds int, not text\n  next: name the text column: --text COLUMN",
        {"x.jsonl": '{"text": "a", "label": 1}\n{"text": 7, "label": 1}\n'},
    ),
    "half of a surrogate pair": Bad(
        "x.jsonl:1: half of a surrogate pair in column 'text', at character 3\n"
        "  next: write the file with a tool that knows UTF-8",
        {"x.jsonl": '{"text": "ok \\ud83d", "label": 1}\n'},
    ),
    "empty label": Bad(
        f"x.csv:3: empty label in column 'label'{FILL_HINT}",
        {"x.csv": "text,label\na,positive\nb,\nc,negative\n"},
    ),
    "empty label while inferring": Bad(
        f"x.csv:2: empty label in column 'label' (the first of 2 rows){FILL_HINT}",
        {"x.csv": "text,label\na,\nb, \nc,negative\n"},
        task=None,
    ),
    "unknown label in other case": Bad(
        "x.csv:3: unknown label 'Negative'; the labels are 'negative', 'positive'\n"
        "  next: did you mean 'negative'?",
        {"x.csv": "text,label\na,positive\nb,Negative\n"},
    ),
    "misspelt label": Bad(
        "x.csv:3: unknown label 'negativ'; the labels are 'negative', 'positive'\n"
        "  next: did you mean 'negative'?",
        {"x.csv": "text,label\na,positive\nb,negativ\n"},
    ),
    "id out of range": Bad(
        "x.csv:3: unknown label '2'; the labels are 'negative', 'positive'\n"
        "  next: ids count from 0 to 1, and these from 1: take 1 off, or write names",
        {"x.csv": "text,label\na,1\nb,2\n"},
    ),
    "names and ids mixed": Bad(
        "x.csv:3: unknown label '0'; the labels are 'negative', 'positive'\n"
        "  next: write 'negative', 'positive', or the ids 0 to 1, in column 'label'; "
        "or name another label column: --label COLUMN",
        {"x.csv": "text,label\na,positive\nb,0\n"},
    ),
    "evaluation label not among the inferred": Bad(
        "e.csv:3: unknown label 'neutral'; the labels are 'negative', 'positive'\n"
        "  next: write 'negative', 'positive', or the ids 0 to 1, in column 'label'; "
        "or name another label column: --label COLUMN",
        {"x.csv": GOOD, "e.csv": "text,label\nz,positive\ny,neutral\n"},
        eval_data="e.csv",
        task=None,
    ),
    "unknown one of several labels": Bad(
        "x.csv:3: unknown label 'musik'; the labels are 'plot', 'music', 'acting'\n"
        "  next: did you mean 'music'?",
        {"x.csv": "text,label\na,plot\nb,plot|musik\n"},
        task=TOPICS,
    ),
    "a list where one label belongs": Bad(
        "x.jsonl:1: ['positive', 'negative'] are not one label, but the model gives one label per text\n"
        '  next: a model for several labels per text says "problem_type": "multi_label_classification" '
        "in its config.json",
        {"x.jsonl": '{"text": "a", "label": ["positive", "negative"]}\n'},
    ),
    "one class only": Bad(
        f"x.csv: every row has the same label, 'positive'{TWO_HINT}",
        {"x.csv": "text,label\na,positive\nb,positive\nc,positive\n"},
    ),
    "one class only while inferring": Bad(
        f"x.csv: every row has the same label, 'fine'{TWO_HINT}",
        {"x.csv": "text,label\na,fine\nb,fine\n"},
        task=None,
    ),
    "one class only to measure on": Bad(
        f"e.csv: every row has the same label, 'negative'{TWO_HINT}",
        {"x.csv": GOOD, "e.csv": "text,label\nz,negative\n"},
        eval_data="e.csv",
    ),
    "one set of labels only": Bad(
        f"x.csv: every row has the same label, 'plot', 'acting'{TWO_HINT}",
        {"x.csv": "text,label\na,plot|acting\nb,plot|acting\n"},
        task=TOPICS,
    ),
    "one value only": Bad(
        f"x.csv: every row has the same label, 2.5{TWO_HINT}",
        {"x.csv": "text,score\na,2.5\nb,2.50\n"},
        task=SCORE,
    ),
    "score is not a number": Bad(
        "x.csv:3: '3,5' in column 'score' is not a number",
        {"x.csv": 'text,score\na,2.5\nb,"3,5"\n'},
        task=SCORE,
    ),
    "score is NaN": Bad(
        "x.csv:3: 'nan' in column 'score' is not a finite number",
        {"x.csv": "text,score\na,2.5\nb,nan\n"},
        task=SCORE,
    ),
    "score is infinite": Bad(
        "x.jsonl:2: '-inf' in column 'score' is not a finite number",
        {"x.jsonl": '{"text": "a", "score": 1.5}\n{"text": "b", "score": -Infinity}\n'},
        task=SCORE,
    ),
    "score is beyond float32": Bad(
        "x.csv:3: '1e39' in column 'score' is not a finite number",
        {"x.csv": "text,score\na,2.5\nb,1e39\n"},
        task=SCORE,
    ),
    "header only": Bad("x.csv: a header and no rows", {"x.csv": "text,label\n"}),
    "empty file": Bad("x.csv: the file is empty", {"x.csv": ""}),
    "unterminated quote": Bad(
        "x.csv:3: a quote is opened and never closed\n"
        "  next: close it, or save the file as .tsv, where quotes are ordinary characters",
        {"x.csv": 'text,label\na,1\n"b,0\n'},
    ),
    "labels wanted of a text file": Bad(
        "x.txt: a .txt file has no labels\n"
        "  next: give a CSV, TSV or JSONL file; if it is columns of words and tags: --label-format tags; to "
        "learn the words of texts: --task fill-mask",
        {"x.txt": "a\nb\n"},
    ),
    "too few rows to split": Bad(
        "x.csv: 2 rows are too few to split: every label needs a text to train on, and some must remain to "
        "validate and to measure on\n  next: give more rows",
        {"x.csv": "text,label\na,positive\nb,negative\n"},
    ),
    "training rows are the held-out rows": Bad(
        "x.csv: every text is also in x.csv, which it must not share", {"x.csv": GOOD}, eval_data="x.csv"
    ),
    "unlabelled single texts for pairs": Bad(
        "u.txt: the labelled rows are pairs, these are single texts",
        {
            "x.tsv": "premise\thypothesis\tlabel\n" + "".join(f"p {i}\th\t{i % 2}\n" for i in range(40)),
            "u.txt": "a\n",
        },
        unlabelled="u.txt",
        task=PAIRS,
    ),
    "held-out pairs beside single texts": Bad(
        f"y.csv: pairs of texts, but the training rows of x.csv are single texts{SHAPE_HINT}",
        {"x.csv": _reviews(40), "y.csv": "text,text_pair,label\na,b,positive\nc,d,negative\n"},
        eval_data="y.csv",
    ),
    "held-out single texts beside pairs": Bad(
        f"y.csv: single texts, but the training rows of x.csv are pairs of texts{SHAPE_HINT}",
        {
            "x.csv": "text,text_pair,label\n" + "".join(f"p {i},h,{i % 2}\n" for i in range(40)),
            "y.csv": "text,label\na,0\nb,1\n",
        },
        eval_data="y.csv",
    ),
    "validation pairs beside single texts": Bad(
        f"d/dev.csv: pairs of texts, but the training rows of d/train.csv are single texts{SHAPE_HINT}",
        {
            "d/train.csv": _reviews(40),
            "d/dev.csv": "text,text_pair,label\na,b,positive\nc,d,negative\n",
            "d/test.csv": _reviews(8, first=100),
        },
    ),
    "folder without parts": Bad(
        "d: no train, validation or test file in this folder\n"
        "  next: name the files train.csv, validation.csv and test.csv",
        {"d/reviews.csv": GOOD},
    ),
    "folder with two training files": Bad(
        "d: both train.csv and train.tsv could be the train rows\n  next: move one of them away",
        {"d/train.csv": GOOD, "d/train.tsv": GOOD},
    ),
    "folder without training rows": Bad(
        "d: there are no training rows\n  next: add a file train.csv", {"d/test.csv": GOOD}
    ),
    "mistake in a folder's file": Bad(
        "d/dev.csv:2: 1 field where the header has 2\n  next: put a field with a comma in quotes",
        {"d/train.csv": GOOD, "d/dev.csv": "text,label\na\n"},
    ),
    "fraction of nothing": Bad(
        f"eval_fraction: must be above 0 and below 1, not 0.0{FRACTION_HINT}", data="x.csv", eval_fraction=0.0
    ),
    "fraction of all": Bad(
        f"eval_fraction: must be above 0 and below 1, not 1.0{FRACTION_HINT}", data="x.csv", eval_fraction=1.0
    ),
    "fraction is NaN": Bad(
        f"eval_fraction: must be above 0 and below 1, not nan{FRACTION_HINT}",
        data="x.csv",
        eval_fraction=float("nan"),
    ),
    "limit of nothing": Bad("limit: must be at least 1, not 0", data="x.csv", limit=0),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_refused_with_its_place_and_the_next_step(case):
    bad = BAD[case]
    for name, text in bad.files.items():
        _write(name, text)
    with pytest.raises(EdgeRobertaError) as caught:
        load_splits(DataSpec(**bad.spec), task=bad.task)
    assert str(caught.value) == bad.message
    assert caught.value.exit_code == 2
