"""Embeddings and rerankers, from rows to a bundle that passed its gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeroberta import recipe
from edgeroberta.data import DataSpec
from edgeroberta.errors import CheckpointError, UsageError
from edgeroberta.pipeline import compression, compression_inputs
from edgeroberta.pipeline.compression_inputs import CompressionInputs, CompressionRequest
from edgeroberta.progress import Progress
from edgeroberta.runtime import Runtime
from edgeroberta.tasks import Problem

WORDS = ("good", "bad", "film", "story", "dull", "bright", "long")
#: A gate that everything passes, and quick figures.
QUICK = ("verify.latency_rows=5", "verify.gate={max_drop: 1.0, min_agreement: 0.0}")


@pytest.fixture
def scored(tmp_path) -> str:
    random = np.random.default_rng(0)
    rows = [
        {
            "sentence1": f"{' '.join(random.choice(WORDS, 4))} no. {i}",
            "sentence2": f"{' '.join(random.choice(WORDS, 4))} nr. {i}",
            "score": float(random.integers(0, 6)),
        }
        for i in range(120)
    ]
    return written(tmp_path / "pairs.jsonl", rows)


@pytest.fixture
def searched(tmp_path) -> str:
    rows = [{"query": f"what is no. {i}", "passage": f"no. {i} is {WORDS[i % 7]}"} for i in range(60)]
    return written(tmp_path / "searched.jsonl", rows)


def written(file: Path, rows: list[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def request(model: Path, data: str, name: str = "int8", **fields: Any) -> CompressionRequest:
    return CompressionRequest(str(model), DataSpec(data), name, (), "cpu", Path("out"), None, None, **fields)


def found(model: Path, data: str, name: str = "int8", **fields: Any) -> CompressionInputs:
    return compression_inputs.find(request(model, data, name, **fields), recipe.load(name))


def made(model: Path, data: str, folder: Path, **fields: Any) -> Path:
    asked = CompressionRequest(
        str(model), DataSpec(data), "int8", QUICK, "cpu", folder / "out", None, None, **fields
    )
    return compression.compress(asked, progress=Progress()).bundle


def test_a_model_of_embeddings_needs_no_task(make_embedder, scored, searched):
    task = found(make_embedder("cls"), scored).task
    assert (task.problem, task.pooling, task.metric) == (Problem.EMBEDDING, "cls", "spearman")
    assert found(make_embedder("cls"), searched).task.metric == "recall@10"


@pytest.mark.parametrize("recipe_name", ["int8", "finetune-embeddings"])
@pytest.mark.parametrize("fields", [{"task": "sentence-similarity"}, {"pooling": "max"}])
def test_a_base_encoder_is_taken_for_embeddings_where_that_is_asked_for(
    tiny_headless_checkpoint, scored, recipe_name, fields
):
    task = found(tiny_headless_checkpoint, scored, recipe_name, **fields).task
    assert (task.problem, task.pooling) == (Problem.EMBEDDING, fields.get("pooling", "mean"))


def test_one_that_was_trained_on_masked_words_is_taken_too(tiny_mask_checkpoint, scored):
    inputs = found(tiny_mask_checkpoint, scored, task="sentence-similarity")
    assert inputs.task.problem is Problem.EMBEDDING
    assert inputs.model.folder != tiny_mask_checkpoint


def test_another_pooling_than_the_model_s_needs_training(make_embedder, scored):
    with pytest.raises(UsageError, match="made for the pooling cls, not mean"):
        found(make_embedder("cls"), scored, pooling="mean")
    assert found(make_embedder("cls"), scored, "finetune-embeddings", pooling="mean").task.pooling == "mean"


def test_a_pooling_that_is_not_known_is_refused(tiny_headless_checkpoint, scored):
    with pytest.raises(CheckpointError, match="there is no pooling 'avg'") as caught:
        found(tiny_headless_checkpoint, scored, pooling="avg")
    assert caught.value.code == "checkpoint.pooling-unknown"


def test_a_pooling_for_another_task_is_refused(tiny_headless_checkpoint, scored):
    with pytest.raises(UsageError, match="--pooling is of embeddings, not of text-classification"):
        found(tiny_headless_checkpoint, scored, pooling="mean", task="text-classification")


def test_a_classifier_makes_no_embeddings(tiny_checkpoint, scored):
    with pytest.raises(CheckpointError) as caught:
        found(tiny_checkpoint, scored, task="sentence-similarity")
    assert caught.value.code == "checkpoint.pooling-head"


@pytest.mark.parametrize(("data", "metric"), [("scored", "recall@10"), ("searched", "spearman")])
def test_a_metric_of_other_rows_is_refused(data, metric, make_embedder, request):
    if metric == "spearman":  # the usual one is that of scores; rows without them are judged by recall
        assert found(make_embedder(), request.getfixturevalue(data), metric="mrr@10").task.metric == "mrr@10"
        metric = "pearson"
    with pytest.raises(UsageError, match=f"rows with this kind of labels have no {metric}") as caught:
        found(make_embedder(), request.getfixturevalue(data), metric=metric)
    assert caught.value.code == "usage.metric-unknown"


@pytest.mark.slow
@pytest.mark.parametrize("data", ["scored", "searched"])
def test_embeddings_become_a_bundle_that_embeds(data, make_embedder, request, tmp_path):
    bundle = made(make_embedder("cls"), request.getfixturevalue(data), tmp_path)
    report = json.loads((bundle / "reports" / "report.json").read_text())
    assert report["metric"] == {"scored": "spearman", "searched": "recall@10"}[data]
    assert all(engine["agreement"] > 0.5 for engine in report["engines"])
    with Runtime.open(bundle) as runtime:
        assert runtime("good film").embedding.shape == (32,)
        assert -1 <= runtime(("good film", "bright story")).similarity <= 1


@pytest.mark.slow
def test_a_cross_encoder_goes_through_on_pairs(make_checkpoint, scored, tmp_path):
    # One output and no problem_type, as rerankers are on the Hub: a regression on pairs.
    model = make_checkpoint(("LABEL_0",), problem=None)
    bundle = made(model, scored, tmp_path)
    with Runtime.open(bundle) as runtime:
        assert runtime.task.problem is Problem.REGRESSION
        assert runtime.task.pair
        score = runtime(("what is it", "a good film")).score
    assert 0 < 1 / (1 + np.exp(-score)) < 1
