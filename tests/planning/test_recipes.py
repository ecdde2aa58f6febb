from __future__ import annotations

from typing import Any

import pytest

from edgeroberta.planning import recipes
from edgeroberta.planning.candidates import Candidate, Predicted
from edgeroberta.roberta.shape import LayerShape

LAYER = LayerShape(4, 128)
PREDICTED = Predicted(p50=0.001, p95=0.002, speedup=4.0, bytes=1_000_000)


def stages(**fields: Any) -> list[str]:
    known: dict[str, Any] = {"vocabulary": None, "predicted": PREDICTED, "whole": True}
    candidate = Candidate(**{**known, **fields})
    return [next(iter(step)) for step in recipes.training_steps(candidate, {"epochs": 1})]


def test_nothing_is_trained_where_nothing_goes() -> None:
    assert stages(layers=(0, 1), shapes=(LAYER, LAYER), kept=1.0, everything=True) == []


@pytest.mark.parametrize("kept", [0.5, 1.0])
def test_layers_that_go_are_distilled_even_when_they_were_worth_nothing(kept: float) -> None:
    assert stages(layers=(0,), shapes=(LAYER,), kept=kept) == ["distill"]


def test_units_that_go_are_pruned_and_tokens_come_last() -> None:
    found = stages(layers=(0,), shapes=(LayerShape(2, 64),), kept=0.3, whole=False, vocabulary=300)
    assert found == ["prune", "vocabulary"]
