"""Pairs of texts that are read one by one: columns, scores, queries, splits without leaks, and bad input."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeroberta.data import DataSpec, load_heldout, load_splits, texts
from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError, EdgeRobertaError
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.EMBEDDING, (), dimensions=8, pooling="mean")


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def scored(count: int = 60) -> list[dict[str, Any]]:
    return [{"sentence1": f"text {i}", "sentence2": f"other {i}", "score": i % 6} for i in range(count)]


def searched(count: int = 60) -> list[dict[str, Any]]:
    return [{"query": f"what is {i}?", "passage": f"it is {i // 2}"} for i in range(count)]


def every_text(rows: Rows) -> set[str]:
    return {*rows.texts, *(rows.pairs or ())}


def test_pairs_with_scores_are_read_one_by_one(tmp_path):
    splits = load_splits(DataSpec(written(tmp_path, "a.jsonl", scored())), task=TASK)
    train = splits.train
    assert train.units == 2
    assert train.read()[:2] == [train.texts[0], (train.pairs or ())[0]]
    assert train.labels.dtype == np.float32
    shown = train.shown(TASK)
    assert (shown.pair, shown.judged_by) == (False, None)


def test_queries_and_passages_are_numbered_and_judged_by_recall(tmp_path):
    rows = load_splits(DataSpec(written(tmp_path, "a.jsonl", searched())), task=TASK).train
    assert rows.labels.dtype == np.int64
    assert rows.labels.shape == (len(rows), 2)
    same = dict(zip(rows.pairs or (), rows.labels[:, 1], strict=True))
    assert [same[each] for each in rows.pairs or ()] == rows.labels[:, 1].tolist()
    assert rows.shown(TASK).judged_by == "recall@10"


@pytest.mark.parametrize(
    "columns", [("anchor", "positive"), ("question", "answer"), ("query", "document"), ("text1", "text2")]
)
def test_usual_names_of_two_columns_are_known(tmp_path, columns):
    rows = [dict(zip(columns, (f"a {i}", f"b {i}"), strict=True)) for i in range(40)]
    said: list[str] = []
    load_splits(DataSpec(written(tmp_path, "a.jsonl", rows)), task=TASK, tell=said.append)
    assert any(f"query {columns[0]!r}, passage {columns[1]!r}, no scores" in line for line in said)


def test_negatives_that_are_not_used_are_told_of(tmp_path):
    rows = [{**row, "negative": "something else"} for row in searched()]
    said: list[str] = []
    load_splits(DataSpec(written(tmp_path, "a.jsonl", rows)), task=TASK, tell=said.append)
    assert any("column 'negative' is not used" in line for line in said)


def test_a_file_without_a_header_is_read_by_numbers(tmp_path):
    file = tmp_path / "sts.csv"
    lines = [f'news\t{i % 5}.0\tA plane {i}.\tA "jet" {i}.' for i in range(50)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    spec = DataSpec(str(file), text="#3", text_pair="#4", label="#2")
    rows = load_splits(spec, task=TASK).heldout
    assert rows.pairs is not None
    assert all('"jet"' in each for each in rows.pairs)


def test_no_text_is_in_two_parts(tmp_path):
    # Chains of pairs with a text in common: a-b, b-c stay together.
    rows = [
        {"sentence1": f"{i}-{part}", "sentence2": f"{i}-{part + 1}", "score": part}
        for i in range(40)
        for part in range(3)
    ]
    splits = load_splits(DataSpec(written(tmp_path, "a.jsonl", rows)), task=TASK)
    parts = [every_text(each) for each in (splits.train, splits.validation, splits.heldout)]
    assert all(parts)
    assert parts[0].isdisjoint(parts[1] | parts[2])
    assert parts[1].isdisjoint(parts[2])
    assert len(splits.heldout) in range(6, 13)


def test_pairs_that_all_hang_together_are_split_and_those_between_are_left_out(tmp_path, caplog):
    rows = [
        {"sentence1": f"a {i}", "sentence2": f"a {i + 1}", "score": i % 3} for i in range(100)
    ]  # one chain
    with caplog.at_level(logging.WARNING):
        splits = load_splits(DataSpec(written(tmp_path, "a.jsonl", rows)), task=TASK)
    assert every_text(splits.train).isdisjoint(every_text(splits.heldout))
    assert "rows left out" in caplog.text


def test_where_few_passages_answer_all_queries_the_queries_are_split(tmp_path, caplog):
    rows = [{"query": f"question {i}", "passage": f"answer {i % 3} {i % 2}"} for i in range(100)]
    rows += [{"query": f"question {i}", "passage": "one for all"} for i in range(100)]
    with caplog.at_level(logging.WARNING):
        splits = load_splits(DataSpec(written(tmp_path, "a.jsonl", rows)), task=TASK)
    assert set(splits.train.texts).isdisjoint(splits.heldout.texts)
    assert len(splits.train) + len(splits.validation) + len(splits.heldout) == 200
    assert "passages of queries to measure on are also among the others" in caplog.text


def test_training_pairs_that_share_a_text_with_given_rows_are_left_out(tmp_path):
    rows = scored()
    held = [
        {"sentence1": "TEXT 3", "sentence2": "new", "score": 1},
        {"sentence1": "new too", "sentence2": "newer", "score": 2},
    ]
    splits = load_splits(
        DataSpec(written(tmp_path, "a.jsonl", rows), eval_data=written(tmp_path, "b.jsonl", held)), task=TASK
    )
    assert splits.leaked == 1
    assert "text 3" not in every_text(splits.train) | every_text(splits.validation)


def test_passages_may_be_searched_again_but_queries_are_not_shared(tmp_path):
    held = [
        {"query": "what is 0?", "passage": "it is 0"},
        {"query": "something new", "passage": "it is 1"},
    ]
    splits = load_splits(
        DataSpec(written(tmp_path, "a.jsonl", searched()), eval_data=written(tmp_path, "b.jsonl", held)),
        task=TASK,
    )
    assert splits.leaked == 1
    assert "what is 0?" not in {*splits.train.texts, *splits.validation.texts}
    assert "it is 1" in every_text(splits.train) | every_text(splits.validation)


def test_test_rows_without_scores_are_held_out_where_rows_are_queries(tmp_path):
    written(tmp_path, "train.jsonl", searched())
    written(tmp_path, "test.jsonl", [{"query": f"new {i}", "passage": f"answer {i}"} for i in range(5)])
    splits = load_splits(DataSpec(str(tmp_path)), task=TASK)
    assert splits.heldout.texts[0] == "new 0"


def test_unlabelled_texts_may_be_single_ones_and_none_is_held_out(tmp_path):
    more = tmp_path / "more.txt"
    more.write_text("something else\ntext 1\nand more\n", encoding="utf-8")
    held = [
        {"sentence1": "a", "sentence2": "Text 1", "score": 1},
        {"sentence1": "b", "sentence2": "c", "score": 2},
    ]
    spec = DataSpec(
        written(tmp_path, "a.jsonl", scored()),
        eval_data=written(tmp_path, "b.jsonl", held),
        unlabelled=str(more),
    )
    found = load_splits(spec, task=TASK).unlabelled
    assert found is not None
    assert [text for rows in found.chunks() for text in rows.read()] == ["something else", "and more"]
    assert found.units == 1


def test_unlabelled_pairs_are_read_one_by_one(tmp_path):
    more = written(tmp_path, "more.jsonl", [{"query": "q", "passage": "p"}, {"query": "r", "passage": "s"}])
    spec = DataSpec(written(tmp_path, "a.jsonl", scored()), unlabelled=more)
    found = load_splits(spec, task=TASK).unlabelled
    assert found is not None
    assert found.units == 2
    assert [text for rows in found.chunks() for text in rows.read()] == ["q", "p", "r", "s"]


def test_digests_tell_texts_that_are_read_together_from_those_read_one_by_one():
    pair = Rows(("a",), ("b",), None, "x")
    assert pair.digest != Rows(("a",), ("b",), None, "x", apart=True).digest


def test_copies_of_a_text_have_one_number():
    assert texts.numbered(["A  b", "c", "a B", "c"]).tolist() == [0, 1, 0, 1]


BAD: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str, str, str]] = {
    "one column of texts": (
        [{"text": "a", "score": 1}, {"text": "b", "score": 2}],
        {"text": "text"},
        "data.pairs-missing",
        "rows.jsonl",
        "one column of texts ('text'), where embeddings are trained and judged by pairs",
    ),
    "no column of texts": (
        [{"body": "a", "score": 1}],
        {},
        "data.pairs-missing",
        "rows.jsonl",
        "no two columns of texts found among 'body', 'score', where embeddings are trained and judged by"
        " pairs",
    ),
    "a second text alone": (
        [{"q": "a", "p": "b"}],
        {"text_pair": "p"},
        "data.pairs-missing",
        "rows.jsonl",
        "one column of texts ('p'), where embeddings are trained and judged by pairs",
    ),
    "a column that is not there": (
        [{"query": "a", "passage": "b"}],
        {"label": "scores"},
        "data",
        "rows.jsonl",
        "no column 'scores'; the columns are 'query', 'passage'",
    ),
    "one column for two things": (
        [{"query": "a", "passage": "b"}],
        {"text": "query", "text_pair": "query"},
        "data",
        "--text, --text-pair, --label",
        "the column 'query' is taken for two things",
    ),
    "scores in the column of a text": (
        [{"query": "a", "passage": "b"}],
        {"label": "passage"},
        "data",
        "rows.jsonl",
        "the column 'passage' is taken for two things",
    ),
    "all scores equal": (
        [
            {"sentence1": "a", "sentence2": "b", "score": 1},
            {"sentence1": "c", "sentence2": "d", "score": 1.0},
        ],
        {},
        "data.scores-equal",
        "rows.jsonl",
        "every pair has the same score, 1",
    ),
    "one passage for all": (
        [{"query": "a", "passage": "b"}, {"query": "c", "passage": "B "}],
        {},
        "data.scores-equal",
        "rows.jsonl",
        "every row has the same passage, so there is nothing to search",
    ),
    "a text is missing": (
        [{"query": "a", "passage": "b"}, {"query": "c", "passage": " "}],
        {},
        "data",
        "rows.jsonl:2",
        "empty text in column 'passage'",
    ),
    "a text that is none": (
        [{"query": "a", "passage": "b"}, {"query": 3, "passage": "c"}],
        {},
        "data",
        "rows.jsonl:2",
        "column 'query' holds int, not text",
    ),
    "a score that is no number": (
        [
            {"sentence1": "a", "sentence2": "b", "score": 1},
            {"sentence1": "c", "sentence2": "d", "score": "high"},
        ],
        {},
        "data",
        "rows.jsonl:2",
        "'high' in column 'score' is not a number",
    ),
    "a score that is not finite": (
        [
            {"sentence1": "a", "sentence2": "b", "score": 1},
            {"sentence1": "c", "sentence2": "d", "score": "inf"},
        ],
        {},
        "data",
        "rows.jsonl:2",
        "'inf' in column 'score' is not a finite number",
    ),
    "labels by name": (
        [{"sentence1": "a", "sentence2": "b", "score": 1}],
        {"label_format": "names"},
        "usage",
        "--label-format",
        "names are asked for, but pairs of texts have scores",
    ),
    "too few to split": (
        [{"query": "a", "passage": "b"}, {"query": "a", "passage": "c"}],
        {},
        "data",
        "rows.jsonl",
        "2 rows are too few to split: some must remain to validate and to measure on",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_pairs_are_refused_with_place_message_and_code(tmp_path, monkeypatch, case):
    rows, columns, code, where, what = BAD[case]
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "rows.jsonl", rows)
    before = (tmp_path / "rows.jsonl").read_bytes()
    with pytest.raises(EdgeRobertaError) as caught:
        load_splits(DataSpec("rows.jsonl", **columns), task=TASK)
    error = caught.value
    assert (error.code, error.where, error.what) == (code, where, what)
    assert (tmp_path / "rows.jsonl").read_bytes() == before


def test_a_score_that_is_missing_is_refused_with_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = scored(5)
    rows[3]["score"] = None
    written(tmp_path, "rows.jsonl", rows)
    with pytest.raises(DataError) as caught:
        load_splits(DataSpec("rows.jsonl"), task=TASK)
    assert caught.value.where == "rows.jsonl:4"


def test_texts_alone_are_no_rows_to_train_on(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_splits(DataSpec(str(file)), task=TASK)
    assert caught.value.code == "data.pairs-missing"
    assert "--unlabelled" in str(caught.value.hint)


def test_pairs_with_scores_beside_queries_are_refused(tmp_path):
    spec = DataSpec(
        written(tmp_path, "a.jsonl", scored()), eval_data=written(tmp_path, "b.jsonl", searched(20))
    )
    with pytest.raises(DataError) as caught:
        load_splits(spec, task=TASK)
    assert caught.value.code == "data.pairs-differ"
    assert caught.value.what.startswith("queries and passages without scores, but the training rows of")


def test_rows_of_the_gate_are_the_same_when_they_are_read_alone(tmp_path):
    spec = DataSpec(written(tmp_path, "a.jsonl", searched()))
    assert load_heldout(spec, TASK).digest == load_splits(spec, task=TASK).heldout.digest
