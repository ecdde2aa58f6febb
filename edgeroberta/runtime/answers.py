"""Predictions as JSON: what ``edgeroberta run --json`` and ``edgeroberta serve`` say of a text."""

from __future__ import annotations

from typing import Any

from edgeroberta.runtime.encoding import Input
from edgeroberta.tasks import (
    Embedding,
    MaskPrediction,
    Prediction,
    Similarity,
    SpanPrediction,
    TokenPrediction,
)

#: What a runtime says of a text, one class a kind of task.
Said = Prediction | TokenPrediction | SpanPrediction | MaskPrediction | Embedding | Similarity


def to_json(item: Input, answer: Said) -> dict[str, Any]:
    """Return the input and all fields of its prediction as a JSON object."""
    # Not dataclasses.asdict, which copies all it finds: that takes longer than reading the logits.
    fields = {"input": item, **vars(answer)}
    if fields.get("tier", "") is None:
        del fields["tier"]
    if isinstance(answer, TokenPrediction):
        fields["entities"] = [dict(vars(entity)) for entity in answer.entities]
    if isinstance(answer, SpanPrediction):
        fields["input"] = {"question": item[0], "context": item[1]}
        fields["answers"] = [dict(vars(each)) for each in answer.answers]
    if isinstance(answer, MaskPrediction):
        fields["masks"] = [[dict(vars(token)) for token in tokens] for tokens in answer.masks]
    if isinstance(answer, Embedding):
        fields["embedding"] = answer.embedding.tolist()
    if isinstance(answer, Similarity):
        fields["embeddings"] = [each.tolist() for each in answer.embeddings]
    return fields
