from __future__ import annotations

import json

import numpy as np
import pytest

from edgeroberta.errors import CheckpointError, UsageError
from edgeroberta.tasks import KINDS, Problem, Task

TABLE = {"0": "no", "1": "yes"}


def test_labels_come_in_the_order_of_their_ids():
    config = {"id2label": {"2": "c", "0": "a", "1": "b"}}
    assert Task.from_config(config) == Task(Problem.SINGLE_LABEL, ("a", "b", "c"))


def test_more_than_nine_labels_are_ordered_by_number_not_by_spelling():
    config = {"id2label": {str(i): f"intent {i}" for i in range(12)}}
    assert Task.from_config(config).labels == tuple(f"intent {i}" for i in range(12))


def test_a_config_without_labels_has_the_two_that_transformers_gives_it():
    assert Task.from_config({"model_type": "roberta"}).labels == ("LABEL_0", "LABEL_1")
    assert Task.from_config({"num_labels": 3}).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_one_output_without_a_problem_type_is_a_regression():
    assert Task.from_config({"id2label": {"0": "LABEL_0"}}).problem is Problem.REGRESSION
    assert Task.from_config({"id2label": TABLE, "problem_type": None}).problem is Problem.SINGLE_LABEL


def test_a_multi_label_problem_may_have_one_label():
    config = {"id2label": {"0": "toxic"}, "problem_type": "multi_label_classification"}
    assert Task.from_config(config) == Task(Problem.MULTI_LABEL, ("toxic",))


def test_the_pair_flag_is_the_callers_to_give():
    assert Task.from_config({"id2label": TABLE}, pair=True).pair
    assert not Task.from_config({"id2label": TABLE}).pair


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"id2label": {"0": "no", "2": "yes"}},
            "config.json: id2label: the ids must be 0 to 1 without holes",
        ),
        (
            {"id2label": {"0": "no", "x": "yes"}},
            "config.json: id2label: has a key that is not a whole number",
        ),
        (
            {"id2label": {"0": "yes", "1": "yes"}},
            "config.json: id2label: the name 'yes' stands for two labels",
        ),
        (
            {"id2label": ["no", "yes"]},
            "config.json: id2label: must be a table of label ids and names\n"
            '  next: e.g. {"0": "no", "1": "yes"}',
        ),
        ({"num_labels": 0}, "config.json: num_labels: must be a whole number from 1 to 1,048,576, not 0"),
        (
            {"num_labels": "two"},
            "config.json: num_labels: must be a whole number from 1 to 1,048,576, not 'two'",
        ),
        (
            {"id2label": TABLE, "problem_type": "multi_label_clasification"},
            "config.json: problem_type: unknown problem type 'multi_label_clasification'\n"
            "  next: did you mean 'multi_label_classification'?",
        ),
        (
            {"id2label": TABLE, "problem_type": "regression"},
            "config.json: problem_type: a regression has one output, this model has 2",
        ),
        (
            {"id2label": {"0": "yes"}, "problem_type": "single_label_classification"},
            "config.json: problem_type: choosing one label of many needs at least two labels",
        ),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config, message):
    with pytest.raises(CheckpointError) as caught:
        Task.from_config(config)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_each_problem_has_its_metric_and_width():
    metrics = {problem: Task(Problem(problem), ("a",)).metric for problem in KINDS}
    assert metrics == {
        Problem.SINGLE_LABEL: "accuracy",
        Problem.MULTI_LABEL: "micro_f1",
        Problem.REGRESSION: "pearson",
        Problem.TOKENS: "f1",
        Problem.SPANS: "f1",
        Problem.MASKED: "accuracy",
        Problem.EMBEDDING: "spearman",
    }
    assert Task(Problem.SINGLE_LABEL, ("a", "b", "c")).num_outputs == 3
    assert Task(Problem.SINGLE_LABEL, ("a", "b")).optimum_task == "text-classification"


def test_single_label_decides_for_the_largest_logit_and_the_first_of_equals():
    decided = Task(Problem.SINGLE_LABEL, ("a", "b", "c")).decide(np.array([[0, 2, 1], [3, 3, 3]], np.float32))
    assert decided.dtype == np.int64
    assert decided.tolist() == [1, 0]


def test_multi_label_decides_for_every_probability_above_one_half():
    decided = Task(Problem.MULTI_LABEL, ("a", "b")).decide(np.array([[0.1, -0.1], [0.0, 5.0]], np.float32))
    assert decided.tolist() == [[True, False], [False, True]]


def test_regression_decides_for_the_value_itself():
    decided = Task(Problem.REGRESSION, ("score",)).decide(np.array([[1.5], [-2.0]], np.float32))
    assert decided.tolist() == [1.5, -2.0]


TAGS = {"0": "O", "1": "B-PER", "2": "I-PER"}


@pytest.mark.parametrize("model", ["Roberta", "XLMRoberta", "Camembert"])
@pytest.mark.parametrize("problem", [None, "single_label_classification", "token_classification"])
def test_a_model_for_token_classification_labels_tokens_whatever_the_problem_type(model, problem):
    config = {
        "id2label": TAGS,
        "architectures": [f"{model}ForTokenClassification"],
        "problem_type": problem,
    }
    assert Task.from_config(config) == Task(Problem.TOKENS, ("O", "B-PER", "I-PER"))


@pytest.mark.parametrize(
    "classes", [None, [], ["RobertaModel"], [None, 3], "RobertaForSequenceClassification"]
)
def test_other_models_are_classifiers(classes):
    assert Task.from_config({"id2label": TAGS, "architectures": classes}).problem is Problem.SINGLE_LABEL


def test_tokens_need_two_labels():
    config = {"id2label": {"0": "PER"}, "architectures": ["RobertaForTokenClassification"]}
    with pytest.raises(CheckpointError, match="at least two labels") as raised:
        Task.from_config(config)
    assert raised.value.where == "config.json: id2label"


def test_an_unknown_aggregation_is_refused_with_the_near_one():
    with pytest.raises(UsageError, match="unknown aggregation 'avarage'") as raised:
        Task(Problem.TOKENS, ("O", "PER"), aggregation="avarage")
    assert "average" in (raised.value.hint or "")


@pytest.mark.parametrize(
    "task",
    [
        Task(Problem.SINGLE_LABEL, ("no", "yes"), pair=True),
        Task(Problem.SINGLE_LABEL, ("no", "yes"), judged_by="f1"),
        Task(Problem.TOKENS, ("O", "B-PER"), aggregation="max"),
    ],
)
def test_a_task_comes_back_from_its_fields(task):
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_a_classifier_has_the_same_fields_as_before_there_were_tokens():
    fields = {"problem": "regression", "labels": ["score"], "pair": False}
    assert Task(Problem.REGRESSION, ("score",)).to_json() == fields
    tokens = {"problem": "token_classification", "labels": ["O", "PER"], "pair": False}
    assert Task.from_json(tokens).aggregation == "first"


@pytest.mark.parametrize(
    "wrong",
    [
        {"problem": "poetry"},
        {"labels": "no"},
        {"labels": ["no", 1]},
        {"pair": "yes"},
        {"aggregation": "best"},
        {"aggregation": []},
        {"judged_by": "pearson"},
    ],
)
def test_malformed_fields_of_a_task_are_refused(wrong):
    fields = {"problem": "token_classification", "labels": ["O", "PER"], "pair": False}
    with pytest.raises((TypeError, ValueError)):
        Task.from_json(fields | wrong)
    with pytest.raises(KeyError):
        Task.from_json({name: value for name, value in fields.items() if name != "pair"})
