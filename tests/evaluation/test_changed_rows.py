from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError, UsageError
from edgeroberta.evaluation import changed_rows, term_lists
from edgeroberta.evaluation.changed_rows import ChangeOptions, answers_back, change, filled, labels
from edgeroberta.tasks import AnswerSpans, Outputs, Problem, Task, WordTags
from edgeroberta.tasks.span_search import FIRST

TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
GENDER = ChangeOptions(swaps=(term_lists.load("gender"),))


def rows_of(*texts: str, pairs: tuple[str, ...] | None = None) -> Rows:
    return Rows(texts, pairs, np.arange(len(texts)) % 2, "rows.csv")


def test_swaps_ask_the_rows_that_have_a_term():
    (found,) = change(rows_of("a film", "she sings", "no one", "his song"), GENDER, TASK)
    assert (found.name, found.swapped, found.guessed) == ("gender", True, 1)
    assert found.numbers.tolist() == [1, 3]
    assert found.inputs() == ["he sings", "her song"]


def test_both_texts_of_a_pair_are_swapped():
    (found,) = change(rows_of("he is", "x", pairs=("is he?", "y")), GENDER, TASK)
    assert found.inputs() == [("she is", "is she?")]


def test_the_digest_is_of_rows_and_texts():
    one = change(rows_of("he", "a"), GENDER, TASK)[0].digest
    assert change(rows_of("he", "b"), GENDER, TASK)[0].digest == one
    assert change(rows_of("a", "he"), GENDER, TASK)[0].digest != one
    assert change(rows_of("she", "a"), GENDER, TASK)[0].digest != one


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (GENDER, "none of 2 texts has a term of the list 'gender'"),
        (ChangeOptions(perturb=("case",)), "'case' changes none of 2 texts"),
    ],
)
def test_changes_that_change_nothing_are_refused(options, what):
    with pytest.raises(DataError) as refused:
        change(rows_of("很好", "不好"), options, TASK)
    assert refused.value.what == what
    assert refused.value.hint.startswith("leave ")


@pytest.mark.parametrize(
    ("options", "where"), [(GENDER, "swaps"), (ChangeOptions(perturb=("typos",)), "perturb")]
)
def test_masked_words_are_refused(options, where):
    with pytest.raises(UsageError, match="the word at a mask may rightly be another") as refused:
        change(rows_of("he is <mask>"), options, Task(Problem.MASKED, (), dimensions=5, mask_id=4))
    assert refused.value.where == where


def test_words_with_tags_move_with_a_perturbed_text():
    """'Anna , who' of three words: the comma goes, and its tag with it."""
    tags = WordTags.pack(
        [np.array([1, 0, 0]), np.array([0])],
        [np.array([[0, 4, 0], [5, 6, 1], [7, 10, 2]]), np.array([[0, 2, 0]])],
    )
    rows = Rows(("Anna , who", "we"), None, tags, "rows.conll")
    (found,) = change(rows, ChangeOptions(perturb=("punctuation",)), Task(Problem.TOKENS, ("O", "B-PER")))
    assert found.inputs() == ["Anna  who"]
    moved = labels(found, tags)
    assert moved.offsets.tolist() == [0, 2, 3]
    assert moved.values.tolist() == [1, 0, 0]
    assert moved.places.tolist() == [[0, 4, 0], [6, 9, 2], [0, 2, 0]]


def test_answers_move_with_a_perturbed_context_and_one_of_marks_alone_keeps_it():
    spans = AnswerSpans.pack([np.array([[10, 15]]), np.array([[0, 1]])])
    contexts = ("She said 'Paris', twice.", "? or !")
    spans = replace(spans, contexts=contexts, documents=contexts)
    rows = Rows(("Where was it?", "What mark?"), contexts, spans, "squad.json")
    (found,) = change(rows, ChangeOptions(perturb=("punctuation",)), Task(Problem.SPANS, ("start", "end")))
    assert found.inputs() == [("Where was it", "She said Paris twice"), ("What mark", "? or !")]
    moved = labels(found, spans)
    assert [text[a:b] for text, (a, b) in zip(moved.contexts, moved.values, strict=True)] == ["Paris", "?"]


def test_entities_of_a_swapped_text_are_compared_where_they_were():
    task = Task(Problem.TOKENS, ("O", "B-PER"))
    text = "my grandfather met Anna"
    (found,) = change(Rows((text,), None, None, "rows"), GENDER, task)
    assert found.inputs() == ["my grandmother met Anna"]
    swapped = replace(GENDER, swaps=(term_lists.TermList("t", (("grandfather", "nan"),), {}, {}, ()),))
    (found,) = change(Rows((text,), None, None, "rows"), swapped, task)
    assert found.inputs() == ["my nan met Anna"]
    values = np.array([[9, 0], [9, 0], [9, 0], [0, 9]], np.float32)
    places = np.array([[0, 2, 0], [3, 6, 1], [7, 10, 2], [11, 15, 3]])
    (answer,) = answers_back(task, found, Outputs.pack([values], [places]))
    assert answer.entities == ((0, 19, 23),)


def test_an_answer_in_a_swapped_context_is_compared_where_it_was():
    task = Task(Problem.SPANS, ("start", "end"))
    rows = Rows(("Who?",), ("The policewoman and she came.",), None, "squad.json")
    (found,) = change(rows, GENDER, task)
    assert found.inputs() == [("Who?", "The policeman and he came.")]
    values = np.array([[0, 0], [9, 9], [0, 0]], np.float32)
    places = np.array([[0, 0, FIRST], [4, 13, 0], [14, 17, 1]])
    (answer,) = answers_back(task, found, Outputs.pack([values], [places]))
    assert rows.pairs[0][slice(*answer)] == "policewoman"


def test_rows_that_stay_keep_their_outputs():
    (found,) = change(rows_of("a", "he", "b", "she"), GENDER, TASK)
    whole = Outputs.of_texts(np.arange(8, dtype=np.float32).reshape(4, 2))
    part = Outputs.of_texts(np.array([[20, 30], [60, 70]], np.float32))
    assert filled(whole, found, part).values.tolist() == [[0, 1], [20, 30], [4, 5], [60, 70]]


def test_labels_of_texts_stay():
    rows = rows_of("he", "she")
    (found,) = change(rows, GENDER, TASK)
    assert changed_rows.labels(found, rows.labels) is rows.labels
