"""Predictions as JSON: what ``edgeroberta run --json`` and ``edgeroberta serve`` say of a text."""

from __future__ import annotations

from typing import Any

from edgeroberta.runtime.encoding import Input
from edgeroberta.tasks import Prediction, TokenPrediction


def to_json(item: Input, answer: Prediction | TokenPrediction) -> dict[str, Any]:
    """Return the input and all fields of its prediction as a JSON object."""
    # Not dataclasses.asdict, which copies all it finds: that takes longer than reading the logits.
    fields = {"input": item, **vars(answer)}
    if isinstance(answer, TokenPrediction):
        fields["entities"] = [dict(vars(entity)) for entity in answer.entities]
    return fields
