from __future__ import annotations

from typing import Any

import pytest

from edgeroberta import recipe
from edgeroberta.latency.calltimes import CallTimes
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.search import candidate_recipes
from edgeroberta.search.candidates import Candidate, PredictedResult
from edgeroberta.search.limits import BudgetLimits

LAYER = LayerShape(4, 128)
PREDICTED = PredictedResult(CallTimes(0.0012, 0.001, 0.002, 0.003), speedup=4.0, bytes=1_000_000)


def stages(**fields: Any) -> list[str]:
    known: dict[str, Any] = {"vocabulary": None, "predicted": PREDICTED, "whole": True}
    candidate = Candidate(**{**known, **fields})
    return [next(iter(step)) for step in candidate_recipes.training_steps(candidate, {"epochs": 1})]


def test_nothing_is_trained_where_nothing_goes():
    assert stages(layers=(0, 1), shapes=(LAYER, LAYER), kept=1.0, everything=True) == []


@pytest.mark.parametrize("kept", [0.5, 1.0])
def test_layers_that_go_are_distilled_even_when_they_were_worth_nothing(kept):
    assert stages(layers=(0,), shapes=(LAYER,), kept=kept) == ["distill"]


def test_units_that_go_are_pruned_and_tokens_come_last():
    found = stages(layers=(0,), shapes=(LayerShape(2, 64),), kept=0.3, whole=False, vocabulary=300)
    assert found == ["prune", "vocabulary"]


def test_a_budget_keeps_the_metric_the_confidence_and_the_bounds_on_recall_and_swaps_of_the_gate(tmp_path):
    asked = (
        "verify.gate.metric=macro_f1",
        "verify.gate.confidence=0.9",
        "verify.gate.max_drop=0.2",
        "verify.gate.min_recall={spam: 0.9}",
        "verify.gate.max_recall_drop=0.1",
        "verify.swaps=[gender]",
        "verify.gate.swaps.max_increase=0.04",
    )
    base = candidate_recipes.candidate_settings(recipe.load("int8-distill", asked))
    candidate = Candidate((0,), (LAYER,), None, PREDICTED, 0.5, True)
    made = candidate_recipes.write(
        candidate, BudgetLimits(speedup=2.0, keep=0.97), base, tmp_path / "r.yaml", share=False
    )
    (gate,) = (config.model_dump()["gate"] for stage, config, _ in made.stages if stage.name == "verify")
    wanted = {
        "max_drop": 1.0,
        "min_agreement": 0.0,
        "min_kept": 0.97,
        "confidence": 0.9,
        "metric": "macro_f1",
        "min_recall": {"spam": 0.9},
        "max_recall_drop": 0.1,
        "min_cosine": None,
        "swaps": {"max_increase": 0.04},
        "robustness": None,
        "slices": None,
    }
    assert gate == wanted
