from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_contexts import TASKS, rows_of

from edgeroberta import metrics
from edgeroberta.data.rows import Rows
from edgeroberta.tasks import Outputs, WordTags
from edgeroberta.training import batching
from edgeroberta.training.batching import Encoder, Tokens
from edgeroberta.training.heads import word_labels
from edgeroberta.training.heads.token_classification import TokenLabels

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
START = END = (0, 0, -1)


def rows(*texts: tuple[str, list[tuple[int, int, int]]], labelled: str = "first") -> Rows:
    """Texts with words, each as its label, its first character and the one after its last."""
    tags = [np.array([label for label, _, _ in words], np.int64) for _, words in texts]
    places = [
        np.array([(start, end, word) for word, (_, start, end) in enumerate(words)]).reshape(-1, 3)
        for _, words in texts
    ]
    packed: Any = WordTags.pack(tags, places)
    made = WordTags(packed.values, packed.offsets, packed.places, labelled)
    return Rows(tuple(text for text, _ in texts), None, made, "x")


def tokens(*texts: list[tuple[int, int, int]], limit: int | None = None) -> Tokens:
    ids = [np.full(len(text), 5) for text in texts]
    return Tokens.pack(ids, pad_id=1, places=[np.array(text) for text in texts], limit=limit)


def assigned(labels: tuple[str, ...], made: Rows, found: Tokens) -> list[str]:
    values = word_labels.assign(made, labels, found).values
    return [labels[value] if value >= 0 else "-" for value in values]


def test_the_first_token_of_a_word_carries_its_label():
    # "Anna Lee left" as <s> An|na Lee left </s>
    found = tokens([START, (0, 2, 0), (2, 4, 0), (5, 8, 1), (9, 13, 2), END])
    made = rows(("Anna Lee left", [(1, 0, 4), (2, 5, 8), (0, 9, 13)]))
    assert assigned(LABELS, made, found) == ["-", "B-PER", "-", "I-PER", "O", "-"]


def test_a_token_may_have_the_space_before_its_word():
    found = tokens([START, (0, 4, 0), (4, 8, 1), END])
    made = rows(("Anna Lee", [(1, 0, 4), (2, 5, 8)]))
    assert assigned(LABELS, made, found) == ["-", "B-PER", "I-PER", "-"]


def test_texts_do_not_mix():
    found = tokens([START, (0, 4, 0), END], [START, (0, 1, 0), (2, 4, 1), END])
    made = rows(("Anna", [(1, 0, 4)]), ("I go", [(0, 0, 1), (3, 2, 4)]))
    assert assigned(LABELS, made, found) == ["-", "B-PER", "-", "-", "O", "B-LOC", "-"]


@pytest.mark.parametrize(
    ("labels", "label", "wanted"),
    [
        (LABELS, "B-PER", ["B-PER", "I-PER", "I-PER"]),
        (LABELS, "I-PER", ["I-PER", "I-PER", "I-PER"]),
        (LABELS, "O", ["O", "O", "O"]),
        (("O", "PER", "B"), "PER", ["PER", "PER", "PER"]),
        (("O", "PER", "B"), "B", ["B", "B", "B"]),
        (("O", "B-PER"), "B-PER", ["B-PER", "B-PER", "B-PER"]),
        (("O", "S-PER", "B-PER", "I-PER", "E-PER"), "S-PER", ["B-PER", "I-PER", "E-PER"]),
        (("O", "S-PER", "B-PER", "I-PER", "E-PER"), "B-PER", ["B-PER", "I-PER", "I-PER"]),
        (("O", "S-PER", "B-PER", "I-PER", "E-PER"), "E-PER", ["I-PER", "I-PER", "E-PER"]),
        (("O", "U-PER", "B-PER", "I-PER", "L-PER"), "U-PER", ["B-PER", "I-PER", "L-PER"]),
    ],
)
def test_where_all_tokens_carry_a_label_only_the_first_begins_an_entity(labels, label, wanted):
    found = tokens([START, (0, 2, 0), (2, 4, 0), (4, 6, 0), (6, 7, 0), END])
    other = labels.index("O")
    made = rows(("Annika.", [(labels.index(label), 0, 6), (other, 6, 7)]), labelled="all")
    assert assigned(labels, made, found) == ["-", *wanted, "O", "-"]


def test_a_word_of_one_token_keeps_its_label_where_all_carry_one():
    labels = ("O", "S-PER", "B-PER", "I-PER", "E-PER")
    made = rows(("Anna", [(1, 0, 4)]), labelled="all")
    assert assigned(labels, made, tokens([START, (0, 4, 0), END])) == ["-", "S-PER", "-"]


def test_words_without_a_token_are_counted_by_why():
    # the second word is passed over, the fourth cut off: the text has as many tokens as there may be
    found = tokens([START, (0, 1, 0), (4, 5, 1), END], limit=4)
    made = rows(("a \u200b b c", [(0, 0, 1), (1, 2, 3), (0, 4, 5), (3, 6, 7)]))
    assert word_labels.assign(made, LABELS, found).notes == {
        "words": 4,
        "words_cut": 1,
        "words_dropped": 1,
    }
    whole = tokens([START, (0, 1, 0), (4, 5, 1), END], limit=5)
    assert word_labels.assign(made, LABELS, whole).notes["words_dropped"] == 2


def test_words_whose_label_is_not_known_have_none_and_are_not_counted():
    found = tokens([START, (0, 1, 0), (2, 3, 1), END])
    made = rows(("a b", [(-1, 0, 1), (3, 2, 3)]))
    assert assigned(LABELS, made, found) == ["-", "-", "B-LOC", "-"]
    assert word_labels.assign(made, LABELS, found).notes["words"] == 1


def test_batches_are_padded_as_texts_are_and_those_after_the_labelled_have_no_label():
    found = tokens([START, (0, 1, 0), END], [START, (0, 1, 0), (2, 3, 1), END], [START, (0, 1, 0), END])
    made = rows(("a", [(3, 0, 1)]), ("b c", [(1, 0, 1), (2, 2, 3)]))
    labels = TokenLabels(made, TASKS["tokens"], found)
    values, known = labels.batch(np.array([2, 1, 0]))
    assert known.tolist() == [[False] * 4, [False, True, True, False], [False, True, False, False]]
    assert values[known].tolist() == [1, 2, 3]
    assert values.min() == 0  # a valid label even where none is known
    empty = TokenLabels(rows(("a", []), ("b c", [])), TASKS["tokens"], found)
    assert not empty.batch(np.array([0, 1, 2]))[1].any()
    none = TokenLabels(Rows(made.texts, None, None, "x"), TASKS["tokens"], found)
    assert not none.batch(np.array([0, 1]))[1].any()


def test_a_space_that_is_a_token_of_its_own_does_not_part_a_word():
    # "Li Ó" as Li|_|Ó, where the runtime reads the space, which stands for no character, as a word
    found = tokens([START, (0, 2, 0), (3, 3, 1), (3, 4, 2), END])
    made = rows(("Li Ó", [(1, 0, 2), (3, 3, 4)]))
    assert assigned(LABELS, made, found) == ["-", "B-PER", "B-LOC", "I-LOC", "-"]


@pytest.mark.parametrize("fixture", ["tiny_token_checkpoint", "tiny_xlmr_checkpoint"])
def test_what_tokens_carry_is_read_as_the_words_are(fixture, request):
    model, task = request.getfixturevalue(fixture), TASKS["tokens"]
    made = rows_of(task, 50, 0)
    found = batching.tokenize(model, made.inputs(), max_length=64, places=True)
    assigned = word_labels.assign(made, task.labels, found)
    outputs = Outputs(np.eye(5, dtype=np.float32)[assigned.values], found.offsets, found.places)
    assert metrics.score(task, outputs, made.labels) == 1
    assert (assigned.cut, assigned.dropped) == (0, 0)


@given(st.lists(st.text("ab .é漢\u0301\u200d🙂", min_size=1, max_size=12), min_size=1, max_size=6))
def test_words_of_any_characters_are_labelled_once_or_counted(tiny_token_checkpoint, texts):
    encoder = Encoder.open(tiny_token_checkpoint, max_length=12)
    split = [text.split(" ") for text in texts]
    spans = []
    for words in split:
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        spans.append(
            [(1, int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True) if word]
        )
    made = rows(*zip(texts, spans, strict=True))
    if not len(made.labels.values):
        return
    found = word_labels.assign(made, LABELS, batching.encoded(encoder, made.inputs(), places=True))
    begun = int(np.isin(found.values, (LABELS.index("B-PER"),)).sum())
    assert begun + found.cut + found.dropped == found.words == len(made.labels.values)
