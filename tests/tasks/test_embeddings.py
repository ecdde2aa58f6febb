"""Embeddings as answers: how alike they are, how they are judged, and what a user reads of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgeroberta import metrics
from edgeroberta.errors import CheckpointError, EngineError, UsageError
from edgeroberta.metrics import BootstrapOptions
from edgeroberta.tasks import Embedding, Outputs, Problem, SentenceEmbedding, Similarity, Task
from edgeroberta.tasks.similarity import SIMILARITIES, pairwise, to_all

TASK = Task(Problem.EMBEDDING, (), True, dimensions=16, pooling="mean", normalize=True)


def pairs(n: int = 200, *, seed: int = 0, noise: float = 1.0) -> tuple[Outputs, np.ndarray]:
    """Pairs whose second text is the first with noise, more of it where they are less alike."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((n, 16))
    share = rng.uniform(0, 1, n)
    second = first * share[:, None] + noise * rng.standard_normal((n, 16)) * (1 - share[:, None])
    values = np.stack([first, second], axis=1).reshape(2 * n, 16).astype(np.float32)
    return Outputs(values, np.arange(0, 2 * n + 1, 2)), (5 * share).astype(np.float32)


def test_correlations_are_those_of_scipy():
    outputs, scores = pairs()
    alike = pairwise(None, outputs.values[::2], outputs.values[1::2])
    found = metrics.all_metrics(TASK, outputs, scores)
    assert found == pytest.approx(
        {"spearman": stats.spearmanr(alike, scores)[0], "pearson": stats.pearsonr(alike, scores)[0]}
    )
    assert list(found) == ["spearman", "pearson"]


def test_recall_counts_queries_whose_passage_is_among_the_nearest():
    queries = np.eye(4, dtype=np.float32)
    passages = queries[[0, 1, 3, 2]]  # the last two are each other's
    values = np.stack([queries, passages], axis=1).reshape(8, 4)
    task = Task(Problem.EMBEDDING, (), True, dimensions=4, pooling="cls", judged_by="recall@1")
    found = metrics.all_metrics(task, Outputs(values, np.arange(0, 9, 2)), np.arange(4))
    # The right one is as alike as the two others that are not near, and stands behind them.
    assert found == {"recall@1": 0.5, "recall@5": 1.0, "recall@10": 1.0, "mrr@10": pytest.approx(0.625)}


def test_embeddings_that_are_all_the_same_find_nothing():
    values = np.ones((40, 16), np.float32)
    outputs = Outputs(values, np.arange(0, 41, 2))
    assert metrics.score(TASK, outputs, np.arange(20), metric="recall@10") == 0


def test_a_passage_that_answers_several_queries_is_searched_once():
    queries = np.eye(4, dtype=np.float32)
    values = np.stack([queries, queries[[0, 0, 0, 3]]], axis=1).reshape(8, 4)
    outputs = Outputs(values, np.arange(0, 9, 2))
    assert metrics.score(TASK_OF_4, outputs, np.array([7, 7, 7, 9]), metric="recall@1") == 0.5


TASK_OF_4 = Task(Problem.EMBEDDING, (), True, dimensions=4, pooling="mean")


def test_a_metric_of_passages_is_refused_for_rows_with_scores():
    outputs, scores = pairs()
    with pytest.raises(UsageError, match=r"have no recall@10") as failure:
        metrics.score(TASK, outputs, scores, metric="recall@10")
    assert "spearman" in str(failure.value.hint)


def test_models_agree_where_all_vectors_of_an_input_point_the_same_way():
    outputs, _ = pairs(3)
    other = outputs.values.copy()
    other[3] = -other[3]  # the second text of the second pair
    other[4] *= 7  # another length
    assert metrics.agrees(TASK, outputs, Outputs(other, outputs.offsets)).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("labels", "metric"), [("scores", "spearman"), ("scores", "pearson"), ("ids", "mrr@10")]
)
def test_the_interval_of_a_loss_holds_what_a_worse_model_loses(labels, metric):
    good, scores = pairs(300)
    noisy = good.values + np.random.default_rng(1).standard_normal(good.values.shape).astype(np.float32)
    bad = Outputs(noisy, good.offsets)
    truth = scores if labels == "scores" else np.arange(300)
    found = metrics.drop_interval(TASK, good, bad, truth, BootstrapOptions(samples=1000), metric=metric)
    exact = metrics.score(TASK, good, truth, metric=metric) - metrics.score(TASK, bad, truth, metric=metric)
    assert found.mean == pytest.approx(exact)
    assert 0 < found.low < exact < found.high
    near = Outputs(good.values + np.float32(0.02) * (noisy - good.values), good.offsets)
    close = metrics.drop_interval(TASK, good, near, truth, BootstrapOptions(samples=1000), metric=metric)
    assert abs(close.mean) < 0.01
    assert close.high < 0.06


@pytest.mark.parametrize("name", SIMILARITIES)
def test_similarities_to_all_are_those_side_by_side(name):
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((5, 8)), rng.standard_normal((3, 8))
    table = to_all(name, first, second)
    for row in range(5):
        expected = pairwise(name, np.repeat(first[row : row + 1], 3, axis=0), second)
        np.testing.assert_allclose(table[row], expected, atol=1e-12)


def test_one_text_gives_an_embedding_and_two_give_their_similarity():
    values = np.array([[3, 4], [4, 3]], np.float32)
    one = TASK.kind.interpret(TASK, values[:1], None, "a", truncated=True)
    assert isinstance(one, Embedding)
    assert one.embedding.tolist() == [3, 4]
    assert one.truncated
    two = TASK.kind.interpret(TASK, values, None, ("a", "b"), truncated=False)
    assert isinstance(two, Similarity)
    assert two.similarity == pytest.approx(24 / 25)
    dot = Task(Problem.EMBEDDING, (), dimensions=2, pooling="mean", similarity="dot")
    assert dot.kind.interpret(dot, values, None, ("a", "b"), truncated=False).similarity == 24
    with pytest.raises(EngineError, match="not finite"):
        TASK.kind.interpret(TASK, values * np.nan, None, "a", truncated=False)


def test_texts_and_pairs_may_stand_side_by_side():
    outputs = Outputs(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0, 1, 3]))
    found = TASK.decide(outputs)
    assert found.tolist() == [[[0, 1], [0, 0]], [[2, 3], [4, 5]]]
    assert metrics.agrees(Task(Problem.EMBEDDING, (), dimensions=2, pooling="mean"), outputs, outputs).all()


def test_no_texts_have_no_answers():
    none = Outputs(np.zeros((0, 16), np.float32), np.zeros(1, np.int64))
    assert TASK.decide(none).shape == (0, 1, 16)
    assert TASK.kind.sureness(TASK, none, none).shape == (0,)


def test_a_task_of_embeddings_is_written_and_read_back():
    task = Task(
        Problem.EMBEDDING,
        (),
        dimensions=384,
        pooling="cls",
        normalize=True,
        similarity="dot",
        judged_by="mrr@10",
    )
    assert Task.from_json(task.to_json()) == task
    assert task.head == "sentence-embedding/cls+normalize"
    assert task.num_outputs == 384
    for damage in ({"pooling": "median"}, {"similarity": "jaccard"}, {"dimensions": None}):
        fields = {**task.to_json(), **damage}
        with pytest.raises((ValueError, TypeError)):
            Task.from_json({name: value for name, value in fields.items() if value is not None})


def test_config_json_states_how_embeddings_are_made():
    fields = {"hidden_size": 32, "architectures": ["RobertaModel"]}
    stated = {**fields, "sentence_embedding": {"pooling": "mean", "normalize": True}}
    task = Task.from_config(stated)
    assert (task.problem, task.labels, task.num_outputs) == (Problem.EMBEDDING, (), 32)
    assert task.sentence_embedding == SentenceEmbedding("mean", True)


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("mean", "checkpoint.pooling-unknown"),
        ({"pooling": "median"}, "checkpoint.pooling-unknown"),
        ({"normalize": True}, "checkpoint.pooling-unknown"),
        ({"pooling": "mean", "normalize": 1}, None),
        ({"pooling": "mean", "normalise": True}, None),
        ({"pooling": "mean", "similarity": "jaccard"}, None),
    ],
)
def test_a_field_that_says_something_else_is_refused(field, code):
    with pytest.raises(CheckpointError) as failure:
        Task.from_config({"hidden_size": 32, "sentence_embedding": field})
    assert failure.value.code == (code or "checkpoint")
    assert "sentence_embedding" in str(failure.value.where)


def test_a_pooling_for_a_classifier_is_refused():
    fields = {"architectures": ["RobertaForSequenceClassification"], "sentence_embedding": {"pooling": "cls"}}
    with pytest.raises(CheckpointError, match="head of another task") as failure:
        Task.from_config(fields)
    assert failure.value.code == "checkpoint.pooling-head"


def test_embeddings_by_name_alone_lack_a_pooling():
    with pytest.raises(CheckpointError, match="needs a pooling") as failure:
        Task.from_config({"problem_type": "sentence_similarity"})
    assert failure.value.code == "checkpoint.pooling-missing"


def test_other_passages_of_the_same_query_are_passed_over():
    queries = np.eye(4, dtype=np.float32)[[0, 0, 1]]
    passages = np.array([[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 1, 0, 0]], np.float32)
    values = np.stack([queries, passages], axis=1).reshape(6, 4)
    outputs = Outputs(values, np.arange(0, 7, 2))
    both = np.array([[0, 0], [0, 1], [1, 2]])
    assert metrics.score(TASK_OF_4, outputs, both, metric="recall@1") == 1
    alone = np.array([[0, 0], [1, 1], [2, 2]])
    assert metrics.score(TASK_OF_4, outputs, alone, metric="recall@1") == pytest.approx(2 / 3)
    assert TASK_OF_4.kind.named(TASK_OF_4, both[1]) == "passage 1"
