from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from edgeroberta import metrics
from edgeroberta.evaluation import compared_answers
from edgeroberta.tasks import AnswerSpans, MaskedTokens, Outputs, Problem, Task, WordTags
from edgeroberta.tasks.masked import pack
from edgeroberta.tasks.span_search import FIRST


def logits(labels, count: int, *, wrong: float, seed: int) -> np.ndarray:
    """Outputs that say each label, but a share of them another."""
    random = np.random.default_rng(seed)
    said = np.where(random.random(len(labels)) < wrong, random.integers(0, count, len(labels)), labels)
    return (3 * np.eye(count)[said] + random.normal(0, 0.5, (len(labels), count))).astype(np.float32)


def compare(task: Task, full, ours, labels):
    given = (each if isinstance(each, Outputs) else Outputs.of_texts(each) for each in (full, ours))
    found = compared_answers.compare(task, "onnxruntime", *given, labels)
    json.dumps(asdict(found), allow_nan=False)
    return found


def test_counts_of_one_label_are_a_confusion_matrix():
    labels = np.random.default_rng(0).integers(0, 3, 500)
    task = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
    full, ours = (logits(labels, 3, wrong=wrong, seed=seed) for wrong, seed in ((0.1, 1), (0.4, 2)))
    found = compare(task, full, ours, labels)
    assert found.confusion.labels == found.confusion.answers == task.labels
    assert np.array_equal(found.confusion.baseline, confusion_matrix(labels, full.argmax(axis=1)))
    assert np.array_equal(found.confusion.compressed, confusion_matrix(labels, ours.argmax(axis=1)))
    assert found.numbers is None


def test_of_many_labels_those_that_are_confused_most_are_told_and_no_text_is_lost():
    labels = np.repeat(np.arange(40), np.where(np.arange(40) < 35, 100, 10))
    wrong = np.where(labels < 35, labels, 35 + (labels + 1) % 5)
    task = Task(Problem.SINGLE_LABEL, tuple(f"label {number}" for number in range(40)))
    outputs = [np.eye(40, dtype=np.float32)[said] for said in (labels, wrong)]
    found = compare(task, *outputs, labels).confusion
    assert found.labels[-6:-1] == task.labels[35:]
    assert found.labels[-1] == "all others"
    assert len(found.labels) == compared_answers.MOST_LABELS + 1
    assert found.together == 40 - compared_answers.MOST_LABELS
    for counts in (found.baseline, found.compressed):
        assert np.sum(counts) == len(labels)
    assert found.compressed[-6][-5] == 10


def test_of_many_labels_that_may_apply_together_those_that_are_missed_most_are_told():
    truth = np.ones((20, 40), np.float32)
    said = np.where(np.arange(40) < 35, truth, 0)
    task = Task(Problem.MULTI_LABEL, tuple(f"label {number}" for number in range(40)))
    found = compare(task, 4 * truth - 2, (4 * said - 2).astype(np.float32), truth).confusion
    assert found.labels[-6:-1] == task.labels[35:]
    assert found.compressed[-6] == (0, 20, 0)
    assert found.compressed[-1] == (20 * 28, 0, 0)


def test_where_several_labels_may_apply_each_is_found_missed_or_wrongly_said():
    truth = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], np.float32)
    said = np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.float32)
    task = Task(Problem.MULTI_LABEL, ("a", "b"))
    found = compare(task, 4 * truth - 2, 4 * said - 2, truth)
    assert found.confusion.answers == ("found", "missed", "wrongly said")
    assert found.confusion.baseline == ((2, 0, 0), (2, 0, 0))
    assert found.confusion.compressed == ((1, 1, 1), (1, 1, 0))
    assert sum(found.reliability[1].counts) == truth.size


def test_entities_are_counted_by_their_types():
    task = Task(Problem.TOKENS, ("O", "B-PER", "B-LOC"))
    places = np.array([[0, 2, 0], [3, 5, 1], [6, 8, 2]], np.int64)

    def outputs(*texts):
        return Outputs.pack(
            [np.eye(3, dtype=np.float32)[list(each)] for each in texts], [places] * len(texts)
        )

    truth = WordTags.pack([np.array(each) for each in ([1, 0, 2], [0, 0, 1])], [places] * 2)
    found = compare(task, outputs([1, 0, 2], [0, 0, 1]), outputs([2, 1, 2], [0, 0, 0]), truth)
    assert set(found.confusion.labels) == {"LOC", "PER", "nothing"}
    row = {name: number for number, name in enumerate(found.confusion.labels)}
    ours = np.array(found.confusion.compressed)
    assert ours[row["PER"], row["LOC"]] == 1
    assert ours[row["PER"], row["nothing"]] == 1
    assert ours[row["nothing"], row["PER"]] == 1
    assert ours[row["LOC"], row["LOC"]] == 1
    assert ours.sum() == 4
    assert found.reliability is not None


def test_numbers_are_counted_in_squares():
    values = np.linspace(-1, 4, 300, dtype=np.float32)
    found = compare(Task(Problem.REGRESSION, ("stars",)), values[:, None], values[:, None] + 0.01, values)
    assert found.confusion is None
    assert found.reliability is None
    assert found.numbers.name == "value"
    assert (found.numbers.low, found.numbers.high) == pytest.approx((-1, 4.01))
    assert sum(count for _, _, count in found.numbers.counts) == found.numbers.texts == 300
    assert found.numbers.near == pytest.approx(0.01, abs=1e-5)
    assert all(abs(x - y) <= 1 for x, y, _ in found.numbers.counts)


def test_nineteen_of_twenty_numbers_are_as_near_as_is_told():
    ours = np.linspace(0, 1, 101, dtype=np.float32)
    found = compare(Task(Problem.REGRESSION, ("stars",)), 0 * ours[:, None], ours[:, None], ours)
    assert found.numbers.near == pytest.approx(0.95)


def test_the_same_number_everywhere_has_a_square_of_its_own():
    ones = np.ones((5, 1), np.float32)
    found = compare(Task(Problem.REGRESSION, ("stars",)), ones, ones, ones[:, 0])
    assert (found.numbers.low, found.numbers.high) == (0.5, 1.5)
    assert len(found.numbers.counts) == 1


def test_answers_masks_and_embeddings_are_compared_by_a_number_each():
    spans = AnswerSpans(
        np.array([[0, 5]]), np.array([0, 1]), contexts=("Paris is a city",), documents=("Paris is a city",)
    )
    values = np.array([[0, 0], [5, 5], [0, 0], [0, 0]], np.float32)
    places = np.array([[0, 0, FIRST], [0, 5, 0], [6, 8, 1], [11, 15, 3]], np.int64)
    right, wrong = (Outputs.pack([each], [places]) for each in (values, np.roll(values, 1, axis=0)))
    found = compare(Task(Problem.SPANS, ("start", "end")), right, wrong, spans)
    assert found.numbers.name == "f1 of the answer"
    assert found.numbers.counts == ((23, 0, 1),)

    sure = np.log(np.array([[0.9, 0.06, 0.04]], np.float32))
    masks = MaskedTokens(np.array([0]), np.array([0, 1]))
    task = Task(Problem.MASKED, (), dimensions=4, mask_id=9)
    found = compare(task, Outputs.pack([pack(sure, 2)]), Outputs.pack([pack(sure[:, [1, 0, 2]], 2)]), masks)
    assert found.numbers.near == pytest.approx(0.84, abs=0.01)
    assert found.reliability[0].counts[8] == 1

    pairs = np.random.default_rng(0).normal(size=(10, 2, 4)).astype(np.float32)
    outputs = Outputs.pack(list(pairs))
    task = Task(Problem.EMBEDDING, (), dimensions=4, pooling="mean")
    found = compare(task, outputs, outputs, np.linspace(0, 1, 10))
    assert found.numbers.near == 0
    assert found.confusion is found.reliability is None


def test_reliability_is_as_frequent_as_counted_by_hand():
    labels = np.array([0, 1, 1, 0])
    sure = np.array([0.95, 0.55, 0.55, 0.95])  # of the first label
    outputs = np.log(np.stack([sure, 1 - sure], axis=1)).astype(np.float32)
    found = metrics.reliability(Task(Problem.SINGLE_LABEL, ("a", "b")), outputs, labels)
    assert found.counts == (0, 0, 0, 0, 0, 2, 0, 0, 0, 2)
    assert (found.confidence[5], found.accuracy[5]) == (0.55, 0.0)
    assert found.accuracy[0] is None
    assert found.error == pytest.approx((2 * 0.55 + 2 * 0.05) / 4, abs=1e-6)
    fifteen = metrics.reliability(Task(Problem.SINGLE_LABEL, ("a", "b")), outputs, labels, bins=15)
    own = metrics.calibration_error(Task(Problem.SINGLE_LABEL, ("a", "b")), outputs, labels)
    assert fifteen.error == pytest.approx(own)
