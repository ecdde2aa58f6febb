"""How sure a model is of its answers."""

from dataclasses import replace

import numpy as np
import pytest

from edgeroberta.tasks import AGGREGATIONS, Calibration, Outputs, Problem, Task, Unit

CALIBRATED = Calibration(temperature=2.0)


def outputs(values, places=None):
    values = np.array(values, np.float32)
    if places is None:
        return Outputs.of_texts(values)
    return Outputs.pack([values], [np.array(places, np.int64)])


def test_a_label_is_as_sure_as_its_probability_at_the_temperature():
    task = Task(Problem.SINGLE_LABEL, ("a", "b"))
    found = task.kind.confidence(task, outputs([[0, 2], [0, 0], [-90, 90]]), CALIBRATED)
    assert found == pytest.approx([1 / (1 + np.exp(-1)), 0.5, 1.0])


def test_of_several_labels_the_least_certain_one_counts():
    task = Task(Problem.MULTI_LABEL, ("a", "b"))
    found = task.kind.confidence(task, outputs([[9, -2], [0, 9]]), CALIBRATED)
    assert found == pytest.approx([1 / (1 + np.exp(-1)), 0.5])


def test_a_number_is_as_sure_as_numbers_of_its_size_were_right():
    task = Task(Problem.REGRESSION, ("score",))
    measured = Calibration(values=(0.0, 1.0), spreads=(0.1, 0.5))
    assert task.kind.confidence(task, outputs([[0], [0.5], [7]]), measured) == pytest.approx(
        [-0.1, -0.3, -0.5]
    )
    assert task.kind.confidence(task, outputs([[0]]), CALIBRATED) is None


WORDS = [(0, 0, -1), (0, 1, 0), (1, 2, 0), (3, 4, 1), (0, 0, -1)]
TOKENS = [[0, 0], [8, 0], [0, 1], [0, 2], [0, 0]]


def sure(*margins):
    """Return the probability of the likelier of two labels that are so far apart."""
    return 1 / (1 + np.exp(-np.array(margins)))


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("simple", sure(0.5)[0]),  # each token for itself
        ("first", sure(1.0)[0]),  # the second token of the first word says nothing
        ("max", sure(1.0)[0]),
        ("average", (sure(4.0)[0] + 1 - sure(0.5)[0]) / 2),
    ],
)
def test_of_tokens_the_least_certain_word_counts_as_it_is_read(aggregation, expected):
    task = Task(Problem.TOKENS, ("O", "B-X"), aggregation=aggregation)
    found = task.kind.confidence(task, outputs(TOKENS, WORDS), CALIBRATED)
    assert found == pytest.approx([expected])


def test_a_text_without_words_is_sure_to_have_no_entities():
    task = Task(Problem.TOKENS, ("O", "B-X"))
    assert task.kind.confidence(task, outputs([[0, 0]], [(0, 0, -1)]), CALIBRATED) == [1.0]
    texts = Outputs.pack([np.zeros((0, 2), np.float32), np.array([[0, 2]], np.float32)])
    assert task.kind.confidence(task, texts, CALIBRATED) == pytest.approx([1.0, sure(1.0)[0]])


def test_of_masks_the_least_certain_one_counts_and_what_was_asked_for_does_not():
    task = Task(Problem.MASKED, (), dimensions=4)
    best = np.log([[0.6, 0.2], [0.5, 0.3]]).astype(np.float32)
    ids = np.array([[7, 8], [5, 6]], np.float32)
    asked = np.log(np.float32([[0.9], [0.9]]))
    for values in (np.hstack([best, ids]), np.hstack([best, asked, ids, [[1], [1]]]).astype(np.float32)):
        found = Outputs.pack([values, values[:0]])
        assert task.kind.confidence(task, found, Calibration()) == pytest.approx([0.625, 1.0])
    warm = task.kind.confidence(task, Outputs.pack([values]), CALIBRATED)
    assert 0.5 < warm[0] < 0.625


CONTEXT = [(0, 0, -2), (0, 5, 0), (6, 8, 1), (9, 12, 2)]


def span(start, end, level=9.0):
    """Return logits of three words of which one is the first of the answer and one the last."""
    values = np.zeros((4, 2))
    values[start, 0] = values[end, 1] = level
    return values


def test_a_span_is_as_sure_as_the_next_best_is_far():
    task = Task(Problem.SPANS, ("start", "end"), pair=True)
    clear, torn = span(1, 1), span(1, 1)
    torn[2] = torn[1]
    found = task.kind.confidence(
        task,
        Outputs.pack([each.astype(np.float32) for each in (clear, torn)], [np.array(CONTEXT)] * 2),
        CALIBRATED,
    )
    assert found[0] > 0.8
    assert found[1] == pytest.approx(0)


def test_no_answer_is_one_of_the_answers_where_a_question_may_have_none():
    torn = span(1, 1) + span(0, 0)
    asked = Outputs.pack([torn.astype(np.float32)], [np.array(CONTEXT)])
    always = Task(Problem.SPANS, ("start", "end"), pair=True)
    perhaps = Task(Problem.SPANS, ("start", "end"), pair=True, no_answer=0.0)
    assert always.kind.confidence(always, asked, Calibration())[0] > 0.2
    assert perhaps.kind.confidence(perhaps, asked, Calibration())[0] == pytest.approx(0)
    rather_none = Task(Problem.SPANS, ("start", "end"), pair=True, no_answer=-0.3)
    assert perhaps.kind.decide(rather_none, asked)[0] is None
    assert rather_none.kind.confidence(rather_none, asked, Calibration())[0] == pytest.approx(0.3)


EVERY_KIND = [
    (Task(Problem.SINGLE_LABEL, ("a", "b", "c")), CALIBRATED),
    (Task(Problem.MULTI_LABEL, ("a", "b", "c")), CALIBRATED),
    (Task(Problem.REGRESSION, ("a",)), Calibration(values=(-1.0, 0.0, 2.0), spreads=(0.3, 0.1, 0.5))),
    (Task(Problem.REGRESSION, ("a",)), Calibration(values=(0.5,), spreads=(0.1,))),
    *((Task(Problem.TOKENS, ("O", "B-X"), aggregation=how), CALIBRATED) for how in AGGREGATIONS),
    (Task(Problem.SPANS, ("start", "end"), pair=True, no_answer=0.1), CALIBRATED),
    (Task(Problem.MASKED, (), dimensions=6), CALIBRATED),
]


@pytest.mark.parametrize(("task", "calibration"), EVERY_KIND)
def test_a_text_is_as_sure_alone_as_among_others(task, calibration):
    rng = np.random.default_rng(3)
    if task.kind.unit is Unit.TEXT:
        found = outputs(rng.normal(size=(20, task.num_outputs)) * 3)
    else:
        lengths = rng.integers(4, 9, 20)
        values = [rng.normal(size=(length, task.num_outputs)).astype(np.float32) for length in lengths]
        inner = [
            [(2 * place, 2 * place + 1, place // 2) for place in range(length - 1)] for length in lengths
        ]
        found = Outputs.pack(values, [np.array([(0, 0, -2), *each]) for each in inner])
    together = task.kind.confidence(task, found, calibration)
    alone = [task.kind.text_confidence(task, *found.part(row), calibration) for row in range(20)]
    assert alone == pytest.approx(together, abs=1e-12)
    assert len(set(alone)) > 5 or len(calibration.values) == 1
    assert max(alone) <= 1


def test_the_confidence_of_one_text_is_refused_where_there_is_none():
    number = Task(Problem.REGRESSION, ("a",))
    vector = Task(Problem.EMBEDDING, (), dimensions=2, pooling="mean")
    for task, values in ((number, [[1.0]]), (vector, [[1.0, 0.0]])):
        with pytest.raises(ValueError, match="measured" if task is number else "no confidence"):
            task.kind.text_confidence(task, np.array(values, np.float32), None, CALIBRATED)


def test_two_numbers_agree_within_a_tolerance_that_was_fixed():
    free = Task(Problem.REGRESSION, ("a",))
    fixed = replace(free, tolerance=0.5)
    first, second = np.array([0.0, 10.0, 20.0], np.float32), np.array([0.4, 10.6, 20.5], np.float32)
    assert free.kind.agrees(free, first, second).all()
    assert fixed.kind.agrees(fixed, first, second).tolist() == [True, False, True]


def test_embeddings_have_no_confidence():
    task = Task(Problem.EMBEDDING, (), dimensions=2, pooling="mean")
    assert task.kind.confidence(task, outputs([[1, 0]]), CALIBRATED) is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0},
        {"temperature": True},
        {"temperature": float("nan")},
        {"temperature": 1, "values": [0, 1], "spreads": [1]},
        {"temperature": 1, "values": [1, 0], "spreads": [1, 1]},
        {"temperature": 1, "values": [0], "spreads": [-1]},
        {"temperature": 1, "values": "01", "spreads": [1, 1]},
    ],
)
def test_a_calibration_that_is_none_is_refused(fields):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Calibration.from_json(fields)


def test_a_calibration_is_read_as_it_was_written():
    for each in (CALIBRATED, Calibration(1.0, (0.0, 1.0), (0.1, 0.5))):
        assert Calibration.from_json(each.to_json()) == each


def test_outputs_keep_who_answered(tmp_path):
    found = Outputs(np.zeros((3, 1), np.float32), np.arange(4), tiers=np.array([0, 1, 0]))
    assert found[[1, 2]].tiers.tolist() == [1, 0]
    assert Outputs.concatenate([found, found[:1]]).tiers.tolist() == [0, 1, 0, 0]
    assert Outputs.concatenate([found, Outputs.of_texts(found.values)]).tiers is None
    found.save(tmp_path / "a.npz")
    assert Outputs.load(tmp_path / "a.npz").tiers.tolist() == [0, 1, 0]
