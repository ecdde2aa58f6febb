"""The kind of task that fills masks: packed outputs, answers, metrics, and what windows give together."""

from __future__ import annotations

import numpy as np
import pytest

from edgeroberta import metrics, tasks
from edgeroberta.errors import EngineError
from edgeroberta.tasks import MaskedTokens, Outputs, Problem, Task
from edgeroberta.tasks.masked import MaskPrediction, pack, width

TASK = Task(Problem.MASKED, (), dimensions=6, mask_id=4)


def outputs(rows: list[list[float]], counts: list[int], **more) -> Outputs:
    return Outputs(np.array(rows, np.float32), np.cumsum([0, *counts]), **more)


def row(*tokens: int) -> list[float]:
    """The three best tokens, with probabilities of 0.5, 0.25 and 0.125."""
    return [*np.log([0.5, 0.25, 0.125]).tolist(), *tokens]


def test_packing_gives_the_best_tokens_and_the_exact_number_of_one_asked_for():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((7, 500)).astype(np.float32)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = rng.integers(0, 500, 7)
    found, asked = pack(log_probabilities, 3), pack(log_probabilities, 3, targets)
    assert (found.shape, asked.shape, found.dtype) == ((7, 6), (7, 8), np.float32)
    order = np.argsort(-log_probabilities, axis=1)[:, :3]
    np.testing.assert_array_equal(found[:, 3:], order)
    np.testing.assert_array_equal(found[:, :3], np.take_along_axis(log_probabilities, order, axis=1))
    np.testing.assert_array_equal(asked[:, [0, 1, 2, 4, 5, 6]], found)
    np.testing.assert_array_equal(asked[:, 7], targets)
    np.testing.assert_array_equal(asked[:, 3], log_probabilities[np.arange(7), targets])


def test_a_vocabulary_of_few_tokens_gives_as_many():
    assert (width(50265), width(3)) == (20, 6)
    found = pack(np.log(np.array([[0.2, 0.5, 0.3]], np.float32)), 3)
    np.testing.assert_array_equal(found[:, 3:], [[1, 2, 0]])


def test_accuracy_counts_masks_and_perplexity_is_of_the_true_tokens():
    found = outputs([row(7, 8, 9), row(5, 6, 7), row(9, 8, 7)], [2, 1])
    labels = MaskedTokens(np.array([7, 7, 8]), np.array([0, 2, 3]))
    said, truth = TASK.decide(found), TASK.truth(labels)
    metrics = {
        name: float(each.value(each.statistics(said, truth, TASK).sum(axis=0)))
        for name, each in TASK.metrics.items()
    }
    assert metrics == {"accuracy": pytest.approx(1 / 3), "accuracy_5": pytest.approx(1.0)}
    wanted = float(np.exp(-np.log([0.5, 0.125, 0.25]).mean()))
    assert TASK.kind.details(TASK, said, truth) == {"perplexity": pytest.approx(wanted, rel=1e-6)}


def test_a_mask_that_was_cut_off_is_wrong_and_takes_no_part_of_another():
    labels = MaskedTokens.pack([np.array([7, 7]), np.array([7, 7, 7])])
    found = metrics.all_metrics(TASK, outputs([row(7, 8, 9)] * 3, [1, 2]), labels)
    assert found["accuracy"] == found["accuracy_5"] == 3 / 5
    assert found["perplexity"] == pytest.approx(2)


def test_perplexity_is_exact_with_the_column_of_the_token_asked_for():
    values = [*np.log([0.5, 0.25, 0.125, 0.001]).tolist(), 7, 8, 9, 333]
    said = TASK.decide(outputs([values], [1]))
    truth = TASK.truth(MaskedTokens(np.array([333]), np.array([0, 1])))
    assert TASK.kind.details(TASK, said, truth)["perplexity"] == pytest.approx(1000, rel=1e-5)
    assert TASK.kind.agrees(TASK, said, TASK.decide(outputs([row(7, 9, 8)], [1]))).tolist() == [True]


def test_texts_agree_when_all_their_masks_have_the_same_best_token():
    one = TASK.decide(outputs([row(7, 8, 9), row(5, 6, 7), row(9, 8, 7)], [2, 1]))
    two = TASK.decide(outputs([row(7, 9, 8), row(6, 5, 7), row(9, 7, 8)], [2, 1]))
    assert TASK.kind.agrees(TASK, one, two).tolist() == [False, True]


def test_engines_are_compared_in_log_probabilities_alone():
    values = outputs([row(7, 8, 9)], [1]).values
    np.testing.assert_array_equal(TASK.kind.comparable(values), values[:, :3])


def test_a_prediction_has_tokens_and_probabilities_of_each_mask():
    values = outputs([row(7, 8, 9), row(5, 6, 7)], [2]).values
    found = TASK.kind.interpret(TASK, values, None, "a <mask> <mask>", truncated=False)
    assert isinstance(found, MaskPrediction)
    assert [[each.token for each in mask] for mask in found.masks] == [[7, 8, 9], [5, 6, 7]]
    assert [each.score for each in found.masks[0]] == pytest.approx([0.5, 0.25, 0.125])


def test_a_number_that_is_not_finite_is_refused():
    with pytest.raises(EngineError, match="not finite"):
        TASK.kind.interpret(TASK, np.full((1, 6), np.nan, np.float32), None, "", truncated=False)


def test_a_mask_in_two_windows_is_read_where_more_stands_before_it():
    places = np.array([[0, 6, 1], [50, 56, 8], [50, 56, 2], [70, 76, 5], [50, 56, 5]])
    windows = outputs([row(1, 2, 3), row(4, 5, 6), row(7, 8, 9), row(10, 11, 12)], [2, 2], places=places[:4])
    merged = TASK.kind.merge(TASK, windows, 8)
    assert merged.values[:, 3].tolist() == [1, 4, 10]
    windows = outputs([row(4, 5, 6), row(7, 8, 9)], [1, 1], places=places[[1, 4]])
    assert TASK.kind.merge(TASK, windows, 8).values[:, 3].tolist() == [7]


def test_the_most_frequent_token_is_the_answer_to_every_text():
    truth = TASK.truth(MaskedTokens(np.array([9, 7, 9]), np.array([0, 1, 2, 3])))
    values, named = TASK.kind.constant(TASK, truth)
    assert named == "token 9"
    said = TASK.decide(Outputs.of_texts(np.tile(values, (3, 1))))
    assert TASK.kind.agrees(TASK, said, truth).tolist() == [True, False, True]
    two = TASK.truth(MaskedTokens(np.array([9, 7]), np.array([0, 2])))
    assert TASK.kind.constant(TASK, two) is None


def test_what_a_model_can_lose_are_its_right_answers():
    said = TASK.decide(outputs([row(7, 8, 9), row(5, 6, 7)], [1, 1]))
    truth = TASK.truth(MaskedTokens(np.array([7, 7]), np.array([0, 1, 2])))
    kept, wrong, known = TASK.kind.lost(TASK, said, truth)
    assert TASK.kind.agrees(TASK, kept, known).tolist() == [True]
    assert TASK.kind.agrees(TASK, wrong, known).tolist() == [False]


def test_soundness_sees_answers_that_have_to_do_with_the_truth():
    tokens = np.repeat([7, 8, 9], 20)
    said = TASK.decide(outputs([row(token, 1, 2) for token in tokens], [1] * 60))
    truth = TASK.truth(MaskedTokens(tokens, np.arange(61)))
    ours, known = TASK.kind.indicators(TASK, said, truth)
    np.testing.assert_array_equal(ours, known)
    assert ours.shape == (60, 4)


def test_the_surest_change_comes_first():
    one, two = outputs([row(7, 8, 9), row(5, 6, 7)], [1, 1]), outputs([row(8, 7, 9), row(5, 7, 6)], [1, 1])
    found = TASK.kind.sureness(TASK, one, two)
    assert found[0] == pytest.approx(np.log(2))
    assert found[1] == 0


def test_the_name_of_the_task_is_optimums_and_it_survives_json():
    assert tasks.TASKS["fill-mask"] == (Problem.MASKED,)
    assert Task.from_json(TASK.to_json()) == TASK
