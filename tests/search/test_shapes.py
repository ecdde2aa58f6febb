"""The search for shapes that meet a budget, on a table of round numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import fake_latency
import numpy as np
import pytest
import stage_contexts

from edgeroberta.data.rows import Splits
from edgeroberta.errors import UsageError
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.prune.importance import Importance
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.search import selection
from edgeroberta.search.candidates import BundleSize
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.shapes import MOST, RESERVE, ShapeSearch
from edgeroberta.targets import load
from edgeroberta.training import batching

SHAPE = EncoderShape(1000, 64, 16, 66, 1, 2, (LayerShape(4, 256),) * 6)
FOOTPRINT = BundleSize(copies=1, tokenizer=100_000)
# The baseline takes 24.1 ms in float and 6.1 ms in int8.


def search(limits: BudgetLimits) -> ShapeSearch:
    rng = np.random.default_rng(0)
    importance = Importance(
        tuple(rng.random(4) * (layer + 1) for layer in range(6)),
        tuple(rng.random(256) * (layer + 1) / 64 for layer in range(6)),
    )
    return ShapeSearch(importance, fake_latency.round_table(SHAPE), (8, 16, 32), limits, FOOTPRINT)


def test_a_loose_budget_is_met_by_the_full_size_model_in_int8():
    (found,) = search(BudgetLimits(speedup=3.5)).candidates()
    assert (found.layers, found.whole, found.kept, found.vocabulary) == (tuple(range(6)), True, 1.0, None)
    assert found.predicted.speedup == pytest.approx(24.1 / 6.1)


def test_every_candidate_just_meets_the_budget_and_the_shallowest_is_of_whole_layers():
    found = search(BudgetLimits(speedup=6)).candidates()
    aimed = 24.1e-3 / 6 * (1 - RESERVE)
    assert [len(candidate.layers) for candidate in found] == [6, 5, 4, 3]
    assert [candidate.whole for candidate in found] == [False, False, False, True]
    for candidate in found:
        assert candidate.predicted.times.p50 <= aimed * (1 + 1e-9)
        assert 0 < candidate.kept < 1
    assert all(candidate.predicted.times.p50 > aimed * 0.93 for candidate in found[:-1])


def test_the_units_that_stay_are_in_the_layers_where_they_matter():
    deepest = search(BudgetLimits(speedup=8)).candidates()[0]
    assert deepest.shapes[-1].intermediate > deepest.shapes[0].intermediate


def test_there_are_no_more_candidates_than_can_be_compared():
    found = search(BudgetLimits(speedup=20)).candidates()
    assert len(found) <= MOST
    assert found[-1].whole or len(found[-1].layers) == 1


def test_all_limits_hold_at_once():
    for candidate in search(BudgetLimits(speedup=3, p95=0.002)).candidates():
        assert candidate.predicted.times.p95 <= 0.002
        assert candidate.predicted.speedup >= 3


def test_a_size_takes_tokens_first():
    whole = FOOTPRINT.of(SHAPE, 1000)
    (found,) = search(BudgetLimits(bytes=int(whole * 0.98 / (1 - RESERVE)))).candidates()
    assert found.whole
    assert 200 < found.vocabulary < 1000
    assert found.predicted.bytes <= whole * 0.98


def test_a_smaller_size_takes_units_as_well():
    limit = 500_000
    for candidate in search(BudgetLimits(bytes=limit)).candidates():
        assert candidate.predicted.bytes <= limit
        assert candidate.vocabulary is not None


@pytest.mark.parametrize(
    "limits",
    [BudgetLimits(speedup=300), BudgetLimits(p95=1e-5), BudgetLimits(p99=1e-5), BudgetLimits(bytes=1000)],
)
def test_an_impossible_budget_is_refused_with_the_least_that_there_is(limits):
    with pytest.raises(UsageError, match="no model meets") as caught:
        search(limits).candidates()
    assert "tokenizer and call" in caught.value.what
    assert caught.value.hint is not None
    assert "--speedup" in caught.value.hint


def test_the_budget_that_a_refusal_names_can_be_met():
    with pytest.raises(UsageError) as caught:
        search(BudgetLimits(speedup=300)).candidates()
    named = float(str(caught.value.hint).split("--speedup ")[1].split(",")[0])
    assert search(BudgetLimits(speedup=named)).candidates()


def test_the_size_counts_the_full_size_model_s_answers_that_the_bundle_carries():
    answers = 4 * 2 * 100_000
    without = FOOTPRINT.of(SHAPE, SHAPE.vocab_size)
    assert BundleSize(1, 100_000, answers).of(SHAPE, SHAPE.vocab_size) == without + answers


def test_a_head_of_one_layer_takes_less_and_answers_per_token_more(tiny_token_checkpoint):
    tokens = replace(SHAPE, head="token-classification")
    width = SHAPE.hidden_size
    sizes = [FOOTPRINT.of(shape, SHAPE.vocab_size) for shape in (SHAPE, tokens)]
    assert sizes[0] - sizes[1] == 4 * width * (width + 1)
    task = stage_contexts.TASKS["tokens"]
    rows = stage_contexts.rows_of(task, 20, 0)
    model = Checkpoint(tiny_token_checkpoint)
    job = PipelineJob(model, task, Splits(rows, rows, rows, None, task.labels), load("cpu"), Path(), Path())
    device = SimpleNamespace(table=fake_latency.round_table(model.config.shape), lengths=(8,))
    found = selection.shape_search(job, BudgetLimits(speedup=2), device)  # type: ignore[arg-type]
    lengths = batching.tokenize(model, rows.inputs(), max_length=128).lengths
    assert found.footprint.answers == lengths.sum() * (4 * 5 + 24)
