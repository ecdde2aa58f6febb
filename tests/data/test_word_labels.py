"""Tags become label ids: schemes, what is written anew, what is told, and the labels of a task from tags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeroberta.data import DataSpec, infer_task, load_heldout, load_splits
from edgeroberta.tasks import Problem, Task

IOB = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
BIOES = ("O", *(f"{prefix}-{kind}" for kind in ("LOC", "PER") for prefix in "BIES"))
BILOU = ("O", *(f"{prefix}-{kind}" for kind in ("LOC", "PER") for prefix in "BILU"))
IO = ("O", "I-LOC", "I-PER")
PLAIN = ("LOC", "O", "PER")

#: One sentence with two entities, in each scheme; the second begins right after the first, of another type.
SENTENCE = {
    IOB: "O B-PER I-PER I-PER B-LOC O",
    BIOES: "O B-PER I-PER E-PER S-LOC O",
    BILOU: "O B-PER I-PER L-PER U-LOC O",
    IO: "O I-PER I-PER I-PER I-LOC O",
    PLAIN: "O PER PER PER LOC O",
}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _data(*sentences: str, name: str = "x.jsonl") -> str:
    """Write sentences of tags, words being numbered."""
    rows = [
        {"tokens": [f"w{number}x{place}" for place, _ in enumerate(tags.split())], "ner_tags": tags.split()}
        for number, tags in enumerate(sentences)
    ]
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def _encoded(data: str, labels: tuple[str, ...], **how: str) -> list[str]:
    rows = load_heldout(DataSpec(data, eval_data=data, **how), Task(Problem.TOKENS, labels))
    return [" ".join(labels[i] for i in rows.labels.part(row)[0]) for row in range(len(rows))]


def _told(*sentences: str, labels: tuple[str, ...] = IOB) -> list[str]:
    told: list[str] = []
    data = _data(*sentences)
    test = _data(SENTENCE[IOB] if labels == IOB else SENTENCE[labels], name="test.jsonl")
    load_splits(DataSpec(data, eval_data=test), task=Task(Problem.TOKENS, labels), tell=told.append)
    return [line.removeprefix("x.jsonl") for line in told[1:] if line.startswith("x.jsonl")]


@pytest.mark.parametrize("theirs", SENTENCE)
@pytest.mark.parametrize("ours", SENTENCE)
def test_tags_of_any_scheme_are_written_as_the_labels_of_any_other(theirs, ours):
    data = _data(SENTENCE[theirs], "O O")
    kept = theirs == IO and ours == IOB  # I- alone are tags of IOB1
    assert _encoded(data, ours) == [SENTENCE[IO] if kept else SENTENCE[ours], "O O"]


def test_a_change_of_scheme_is_told():
    assert _told(SENTENCE[BIOES], SENTENCE[BIOES], SENTENCE[BIOES])[:2] == [
        ": 3 sentences of 18 words with 6 entities, tags in BIOES",
        ": the tags are BIOES, the model's labels IOB2: written anew as IOB2",
    ]


def test_entities_that_io_cannot_tell_apart_are_counted():
    told = _told("B-PER B-PER O", "O B-LOC I-LOC B-LOC", "O B-LOC", labels=IO)
    assert told[2] == ":1: 2 entities become one with the one before them, of the same type, as here"
    assert _encoded("x.jsonl", IO)[0] == "I-PER I-PER O"


def test_names_and_ids_are_never_written_anew():
    assert _encoded(_data("B-PER I-PER O B-LOC"), BIOES, label_format="names") == ["B-PER I-PER O B-LOC"]
    assert _encoded(_data("5 6 0"), BIOES, label_format="ids") == ["B-PER I-PER O"]


def test_iob1_stays_as_it_is_and_is_told():
    sentences = ("I-PER I-PER O I-PER B-PER", "I-LOC O", "O I-PER")
    assert _encoded(_data(*sentences), IOB) == list(sentences)
    assert _told(*sentences)[0] == ": 3 sentences of 9 words with 5 entities, tags in IOB1"


@pytest.mark.parametrize(
    ("sentences", "line"),
    [
        (
            ("O B-PER I-PER", "O B-LOC", "O I-PER B-LOC"),
            ":3: the tags are IOB2, but 1 of 4 entities begin with I- without B-, as here; they count all the"
            " same",
        ),
        (
            ("O I-PER I-PER", "O B-LOC", "O I-PER B-PER I-LOC"),
            ":2: the tags are IOB1, but 1 of 5 entities begin with B- although no other of their type is "
            "right before them, as here; they count all the same",
        ),
    ],
)
def test_entities_that_break_the_scheme_are_counted_and_the_first_is_named(sentences, line):
    assert line in _told(*sentences)


def test_broken_bioes_is_counted():
    told = _told("O B-PER E-PER", "S-LOC O", "O B-PER I-PER", labels=BIOES)
    assert told[1] == (
        ":3: the tags are BIOES, but 1 of 3 entities do not go from B- to E-, or are one word without S-, as"
        " here; they count all the same"
    )


def test_labels_that_no_word_has_are_told():
    assert _told("B-PER O", "B-PER O", "B-LOC I-LOC")[-1] == ": no word has the model's 'I-PER'"


@pytest.mark.parametrize(
    ("sentences", "labels"),
    [
        (("O B-b", "B-a I-a"), ("O", "B-a", "I-a", "B-b", "I-b")),
        (("O I-b", "I-a I-a"), ("O", "I-a", "I-b")),
        (("O b", "a a"), ("O", "a", "b")),
        (("O S-b", "B-b E-b S-a"), ("O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b", "S-b")),
        (("O U-b", "B-b L-b U-a"), ("O", "B-a", "I-a", "L-a", "U-a", "B-b", "I-b", "L-b", "U-b")),
        (("O B", "B I"), ("O", "B", "I")),
        (("B-b", "I-a"), ("O", "B-a", "I-a", "B-b", "I-b")),
        (("O art-music", "place-GPE"), ("O", "art-music", "place-GPE")),
        (("O E-MAIL", "S-BAHN"), ("O", "E-MAIL", "S-BAHN")),
        (("O B-x-y", "I-x-y"), ("O", "B-x-y", "I-x-y")),
    ],
)
def test_labels_are_inferred_with_all_tags_of_each_type(sentences, labels):
    assert infer_task(DataSpec(_data(*sentences))) == Task(Problem.TOKENS, labels)


def test_a_lone_single_word_entity_of_a_test_file_is_read_by_the_models_labels():
    assert _encoded(_data("O S-PER"), BIOES) == ["O S-PER"]
    assert _encoded(_data("O S-PER"), IOB) == ["O B-PER"]


def test_ids_are_told_by_the_names_that_they_stand_for():
    told = _told("1 2 0", "3 4 0", "3 0 0")
    assert told[1] == (
        ": tags are read as the model's ids: 0 is 'O', 1 is 'B-LOC', 2 is 'I-LOC', 3 is 'B-PER', 4 is 'I-PER'"
    )
