"""How sure a model is of its answers."""

import numpy as np
import pytest

from edgeroberta.tasks import Calibration, Outputs, Problem, Task

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


def test_of_tokens_the_least_certain_one_counts_and_special_ones_do_not():
    task = Task(Problem.TOKENS, ("O", "B-X"))
    found = task.kind.confidence(
        task, outputs([[0, 0], [8, 0], [0, 2]], [(0, 0, -1), (0, 1, 0), (1, 2, 1)]), CALIBRATED
    )
    assert found == pytest.approx([1 / (1 + np.exp(-1))])


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
