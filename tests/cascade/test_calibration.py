"""What makes a confidence of outputs is fitted on rows that a model was not trained on."""

import numpy as np
import pytest
from scipy import optimize, special

from edgeroberta.cascade import fit
from edgeroberta.tasks import KINDS, AnswerSpans, Calibration, Outputs, Problem, Task

SINGLE = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
MULTI = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
VALUE = Task(Problem.REGRESSION, ("score",))


def outputs(values):
    return Outputs.of_texts(np.asarray(values, np.float32))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_found_that_labels_were_drawn_with(temperature):
    rng = np.random.default_rng(1)
    logits = 2 * temperature * rng.normal(size=(20_000, 3))
    labels = (special.softmax(logits / temperature, axis=1).cumsum(axis=1) < rng.random((20_000, 1))).sum(
        axis=1
    )
    found = fit(SINGLE, outputs(logits), outputs(logits), labels)
    assert found.temperature == pytest.approx(temperature, rel=0.05)


def test_a_temperature_is_that_of_the_least_loss():
    rng = np.random.default_rng(2)
    logits = 3 * rng.normal(size=(500, 3))
    labels = np.where(rng.random(500) < 0.8, logits.argmax(axis=1), rng.integers(0, 3, 500))
    rest = 1 / 502
    targets = np.full((500, 3), rest / 2)
    targets[np.arange(500), labels] = 1 - rest

    def loss(temperature):
        return -(targets * special.log_softmax(logits / temperature, axis=1)).sum()

    best = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
    assert fit(SINGLE, outputs(logits), outputs(logits), labels).temperature == pytest.approx(best, rel=1e-4)


def test_a_temperature_of_several_labels_is_found_that_they_were_drawn_with():
    rng = np.random.default_rng(3)
    logits = 4 * rng.normal(size=(20_000, 3))
    labels = (rng.random((20_000, 3)) < special.expit(logits / 2)).astype(np.float32)
    assert fit(MULTI, outputs(logits), outputs(logits), labels).temperature == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("task", [SINGLE, MULTI])
@pytest.mark.parametrize("rows", [1, 5, 5000])
def test_rows_that_are_all_right_or_all_wrong_have_a_temperature_within_bounds(task, rows):
    values = np.tile([[5.0, -5.0, -5.0]], (rows, 1))
    for last in (values, -values):
        assert 0.05 <= fit(task, outputs(values), outputs(last)).temperature <= 20


def test_without_labels_the_last_tier_is_right():
    rng = np.random.default_rng(4)
    values, last = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    expected = fit(SINGLE, outputs(values), outputs(last), last.argmax(axis=1))
    assert fit(SINGLE, outputs(values), outputs(last)) == expected


def test_numbers_are_as_sure_as_they_were_near_to_those_of_the_last_tier():
    rng = np.random.default_rng(5)
    last = rng.uniform(0, 5, 4000)
    spread = 0.1 + 0.1 * last
    values = last + spread * rng.normal(size=4000)
    found = fit(VALUE, outputs(values[:, None]), outputs(last[:, None]))
    assert len(found.values) == 10
    assert found.spread(0.5) == pytest.approx(0.15, rel=0.2)
    assert found.spread(4.5) == pytest.approx(0.55, rel=0.2)
    assert Calibration.from_json(found.to_json()) == found


@pytest.mark.parametrize("rows", [1, 3, 99, 100])
def test_few_numbers_are_all_as_sure(rows):
    rng = np.random.default_rng(6)
    values = rng.normal(size=(rows, 1))
    found = fit(VALUE, outputs(values), outputs(values + 0.5))
    assert len(found.values) == (2 if rows == 100 else 1)
    assert found.spreads == pytest.approx([0.5] * len(found.values))


def test_numbers_that_are_all_the_same_have_one_spread():
    values = np.full((1000, 1), 0.1)
    found = fit(VALUE, outputs(values), outputs(np.zeros((1000, 1))))
    assert found.values == pytest.approx([0.1])
    assert found.spreads == pytest.approx([0.1])


def spans(rng, rows, level):
    """Return outputs of questions with three words each, of which one is likely the answer."""
    places = np.array([(0, 0, -2), (0, 5, 0), (6, 8, 1), (9, 12, 2)])
    chosen = rng.integers(1, 4, rows)
    values = rng.normal(size=(rows, 4, 2)) + level * (np.arange(4)[None, :, None] == chosen[:, None, None])
    return Outputs.pack(list(values.astype(np.float32)), [places] * rows)


def test_spans_are_searched_for_the_temperature_that_tells_how_often_they_agree():
    task = Task(Problem.SPANS, ("start", "end"), pair=True)
    rng = np.random.default_rng(7)
    last = spans(rng, 60, 20.0)
    values = last.values.reshape(60, 4, 2).copy()
    wrong = rng.random(60) < 0.3
    values[wrong, 1:] = np.roll(values[wrong, 1:], 1, axis=1)  # as sure, and of another word
    doubtful = Outputs.pack(list(values), [last.part(0)[1]] * 60)
    sure, unsure = fit(task, last, last), fit(task, doubtful, last)
    assert sure.temperature < unsure.temperature
    labels = AnswerSpans(np.zeros((60, 2), np.int64), np.arange(201), contexts=("",) * 60)
    assert fit(task, last, last, labels) == sure


def test_many_rows_are_searched_by_some(monkeypatch):
    task = Task(Problem.SPANS, ("start", "end"), pair=True)
    last = spans(np.random.default_rng(8), 520, 8.0)
    read = []

    class Counting(type(task.kind)):
        def confidence(self, task, outputs, calibration):
            read.append(len(outputs))
            return np.full(len(outputs), 0.9)

    monkeypatch.setitem(KINDS, Problem.SPANS.value, Counting())
    assert 0.05 <= fit(task, last, last).temperature <= 20
    assert set(read) == {500}
