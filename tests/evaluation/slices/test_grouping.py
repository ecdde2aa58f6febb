"""Which rows are in which slice, and what cannot be told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tagged import word_tags

from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError, UsageError
from edgeroberta.evaluation import slices
from edgeroberta.evaluation.slices import SlicesAsked, word_lists
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
TEXTS = (
    "She is a nurse.",
    "HE works here",
    "They sing",
    "The sheet",
    "老师她很好",
    "He and she, both",
    "x" * 40,
    "y",
)
ROWS = Rows(
    TEXTS,
    None,
    np.array([0, 1, 0, 1, 0, 1, 0, 0]),
    "x.csv",
    columns={"age": ("9", "10", "9", "10", "9", "10", "30", "30")},
)


def found(asked: SlicesAsked, rows: Rows = ROWS, task: Task = TWO) -> dict[str, list[int]]:
    return {f"{each.by}={each.name}": each.rows.tolist() for each in slices.find(asked, rows, task)}


def words(text: str) -> SlicesAsked:
    Path("w.txt").write_text(text, encoding="utf-8")
    return slices.parse(["words=w.txt"])


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_values_of_a_column_are_slices_numbers_by_their_size():
    assert found(slices.parse(["column=age"])) == {
        "age=9": [0, 2, 4],
        "age=10": [1, 3, 5],
        "age=30": [6, 7],
    }


def test_a_value_that_is_no_number_has_its_place_behind_those_that_are():
    values = ("nan", "2", "b", "-inf", "a", "10") * 2
    rows = replace(ROWS, texts=TEXTS + TEXTS[:4], labels=np.zeros(12, np.int64), columns={"age": values})
    told = [each.name for each in slices.find(SlicesAsked(("age",)), rows, TWO)]
    assert told == ["-inf", "2", "10", "a", "b", "nan"]


def test_rows_are_told_apart_by_characters_at_the_lengths_that_are_named_or_by_quarters():
    assert found(slices.parse(["length=10,16"])) == {
        "length=1-9": [2, 3, 4, 7],
        "length=10-15": [0, 1],
        "length=16+": [5, 6],
    }
    lengths = np.arange(1, 101)
    rows = Rows(tuple("z" * each for each in lengths), None, None, "x.csv")
    quarters = found(slices.parse(["length"]), rows)
    assert list(quarters) == ["length=1-25", "length=26-50", "length=51-75", "length=76+"]
    assert [len(each) for each in quarters.values()] == [25] * 4
    pairs = replace(ROWS, pairs=tuple("b" * 20 for _ in TEXTS))
    assert found(slices.parse(["length=40"]), pairs) == {
        "length=1-39": [0, 1, 2, 3, 4, 5, 7],
        "length=40+": [6],
    }


def test_rows_are_told_apart_by_their_labels_and_types_of_entity():
    assert found(SlicesAsked(label=True)) == {
        "label=negative": [0, 2, 4, 6, 7],
        "label=positive": [1, 3, 5],
    }
    topics = Task(Problem.MULTI_LABEL, ("music", "plot", "war"))
    several = replace(ROWS, labels=np.array([[1, 1, 0], [0, 1, 0]] + [[0, 0, 0]] * 6, np.float32))
    assert found(SlicesAsked(label=True), several, topics) == {
        "label=music": [0],
        "label=plot": [0, 1],
        "label=war": [],
    }
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    tagged = Rows(("a b", "a"), None, word_tags([["B-PER", "I-PER"], ["O"]], labels), "x.conll")
    assert found(SlicesAsked(label=True), tagged, Task(Problem.TOKENS, labels)) == {
        "label=LOC": [],
        "label=PER": [0],
    }


def test_words_are_whole_words_in_any_case_and_in_chinese_wherever_they_stand():
    asked = words("# pronouns\nshe: she, her\nhe：he、him\n中文: 她，他\n")
    assert asked.words == {"she": ("she", "her"), "he": ("he", "him"), "中文": ("她", "他")}
    assert found(asked) == {"words=she": [0, 5], "words=he": [1, 5], "words=中文": [4]}
    # A list without a name is called after its file; words may be of two words.
    assert found(words("he and\nthey\n")) == {"words=w": [2, 5]}


def test_a_sign_within_a_word_begins_no_comment():
    asked = words("languages: c#, f#  # two of them\n #nothing\n")
    assert asked.words == {"languages": ("c#", "f#")}


def test_words_are_looked_for_in_both_texts_of_a_pair():
    pairs = Rows(("a", "b"), ("her", "him"), None, "x.csv")
    assert found(words("she: she, her\n"), pairs) == {"words=she": [0]}


def test_a_word_beside_punctuation_is_found_and_one_within_another_is_not():
    search = word_lists.pattern(["C++", "art", "O'Neil"]).search
    assert all(search(text) for text in ("i like c++.", "(art)", "o'neil's"))
    assert not any(search(text) for text in ("part", "arts", "c+"))


def test_what_is_asked_for_is_read_back_from_a_report():
    asked = SlicesAsked(("dialect",), length=True, edges=(40,), label=True, words={"she": ("she",)})
    kept = {"columns": ["dialect"], "length": True, "edges": [40], "label": True, "words": {"she": ["she"]}}
    assert SlicesAsked.from_json(kept) == asked
    assert not SlicesAsked()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("dialect", "there are no slices by 'dialect'"),
        ("colunm=dialect", "did you mean 'column'?"),
        ("column", "'column' is no slice"),
        ("column=", "'column=' is no slice"),
        ("label=positive", "'label=positive' is no slice"),
        ("length=long", "'long' are no numbers of characters"),
        ("length=40,40", "slices by length begin at 40, 40 characters"),
        ("length=1", "slices by length begin at 1 characters"),
        ("words", "'words' is no slice"),
    ],
)
def test_what_is_no_slice_is_refused(asked, said):
    with pytest.raises(UsageError) as caught:
        slices.parse([asked])
    assert said in str(caught.value)
    assert (caught.value.where, caught.value.code) == ("--slices", "usage.slices")


@pytest.mark.parametrize("twice", ["column=age", "length", "label"])
def test_the_same_slices_twice_are_refused(twice):
    with pytest.raises(UsageError, match="are asked for twice"):
        slices.parse([twice, "length=3" if twice == "length" else twice])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "w.txt: the file is empty"),
        ("# nothing\n\n", "w.txt: no words in the file"),
        ("she: she\nhe:\n", "w.txt:2: the list 'he' has no words"),
        (": she\n", "w.txt:1: a list without a name"),
        ("she: she\nshe: her\n", "w.txt:2: a second list 'she'"),
        (
            "she: she, her\nhe: he, Her\n",
            "w.txt:2: 'Her' is in the list 'he', and in 'she' on line 1: lists that",
        ),
        ("she: she, SHE\n", "w.txt:1: 'SHE' is in the list 'she' twice"),
    ],
)
def test_lists_of_words_that_tell_nothing_apart_are_refused(text, said):
    with pytest.raises(DataError) as caught:
        words(text)
    assert str(caught.value).startswith(said)


def test_words_that_never_occur_are_refused_with_their_list():
    with pytest.raises(DataError) as caught:
        found(words("she: she\nxe: xe, xem\n"))
    assert str(caught.value).startswith(
        "x.csv, the held-out rows: no row has a word of the list 'xe' (xe, xem)"
    )
    assert caught.value.code == "data.word-lists"


def test_a_file_of_words_that_is_not_there_or_no_text_is_refused():
    with pytest.raises(DataError, match="no such file of words"):
        slices.parse(["words=none.txt"])
    Path("b.txt").write_bytes(b"she: \xff\xfe")
    with pytest.raises(DataError, match=r"UTF-8"):
        slices.parse(["words=b.txt"])


def test_rows_without_labels_and_tasks_without_are_refused():
    with pytest.raises(DataError, match="slices by label are asked for, and these rows have none"):
        found(SlicesAsked(label=True), replace(ROWS, labels=None))
    with pytest.raises(UsageError, match="a task of regression has no labels to tell rows apart by"):
        found(SlicesAsked(label=True), ROWS, Task(Problem.REGRESSION, ("score",)))


def test_columns_lengths_and_numbers_of_slices_that_make_none_are_refused():
    with pytest.raises(DataError, match="the rows were read without the column 'dialect'"):
        found(SlicesAsked(("dialect",)))
    held = replace(ROWS, columns={"age": ("9",) * 8})
    with pytest.raises(DataError, match=r"held-out rows: column 'age' has the one value '9' in all 8 rows"):
        found(SlicesAsked(("age",)), held)
    with pytest.raises(DataError, match=r"no row has 500\+ characters; they have 1 to 40"):
        found(SlicesAsked(length=True, edges=(10, 500)))
    alike = replace(ROWS, texts=("same size",) * 8)
    with pytest.raises(DataError, match="nearly all rows have the same 9 characters"):
        found(SlicesAsked(length=True), alike)
    many = Task(Problem.SINGLE_LABEL, tuple(f"intent {number}" for number in range(201)))
    with pytest.raises(UsageError, match="these are 201 slices; at most 200 are told apart at once"):
        found(SlicesAsked(label=True), ROWS, many)
