from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from asked import SPANS

from edgeroberta import metrics
from edgeroberta.tasks import Outputs, span_threshold
from edgeroberta.tasks.outputs import AnswerSpans

CONTEXT = "in Paris or in Rome"


def outputs_of(sureness: np.ndarray) -> Outputs:
    """Outputs that answer "Paris" the surer, the larger the number; each character is a token."""
    places = np.zeros((len(CONTEXT) + 1, 3), np.int64)
    places[0, 2] = -2
    numbers = np.arange(len(CONTEXT))
    places[1:] = np.stack([numbers, numbers + 1, numbers], 1)
    rows = []
    for value in sureness:
        logits = np.full((len(places), 2), -20, np.float32)
        logits[0] = 0.0
        logits[4, 0] = logits[8, 1] = value
        rows.append(logits)
    return Outputs.pack(rows, [places] * len(rows))


def labels_of(answered: np.ndarray) -> AnswerSpans:
    """Answers "Paris", or none."""
    offsets = np.concatenate([[0], np.cumsum(answered.astype(np.int64))])
    values = np.tile(np.array([[3, 8]], np.int64), (int(answered.sum()), 1))
    contexts = (CONTEXT,) * len(answered)
    return AnswerSpans(values, offsets, None, contexts, contexts)


def test_a_threshold_between_two_groups_is_found():
    sureness = np.array([1.0, 2.0, 1.5, -1.0, -2.0, -0.2])
    outputs, labels = outputs_of(sureness), labels_of(sureness > 0)
    found = span_threshold.fit(replace(SPANS, no_answer=0.0), outputs, labels)
    assert metrics.score(replace(SPANS, no_answer=found), outputs, labels) == 1
    assert -1 < found < 1


def test_a_threshold_among_models_that_are_sure_stays_between_the_two_groups():
    sureness = np.array([-11.0, -11.5, -12.5, -13.0])
    outputs, labels = outputs_of(sureness), labels_of(sureness > -12)
    found = span_threshold.fit(replace(SPANS, no_answer=0.0), outputs, labels)
    assert 0.9999 < found < 1
    assert metrics.score(replace(SPANS, no_answer=found), outputs, labels) == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_no_threshold_on_a_grid_is_better(seed, shift):
    random = np.random.default_rng(seed)
    truth = random.random(60) < 0.6
    sureness = np.round(random.normal(size=60) + 1.5 * truth + shift, 1)  # some of them are equal
    outputs, labels = outputs_of(sureness), labels_of(truth)
    found = span_threshold.fit(replace(SPANS, no_answer=0.0), outputs, labels)

    def score(threshold: float) -> float:
        return metrics.score(replace(SPANS, no_answer=threshold), outputs, labels)

    assert score(found) >= max(score(each) for each in np.linspace(-1, 1, 201)) - 1e-12


def test_where_every_question_has_its_answer_one_is_always_given():
    outputs, labels = outputs_of(np.array([-3.0, -4.0])), labels_of(np.ones(2, bool))
    found = span_threshold.fit(replace(SPANS, no_answer=0.0), outputs, labels)
    assert metrics.score(replace(SPANS, no_answer=found), outputs, labels) == 1
