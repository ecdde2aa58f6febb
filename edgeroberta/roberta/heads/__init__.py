"""Heads on an encoder, one module a kind: names of tensors, loading, and what a graph ends with.

A new one is a module and a row of :data:`HEADS`; nothing else in this package knows their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from edgeroberta.roberta.families import FAMILIES
from edgeroberta.roberta.heads.head import (
    EncoderTensors,
    ForeignTensors,
    Head,
    HeadOutput,
    HeadTensors,
    HeadWeights,
    PlainHead,
)
from edgeroberta.roberta.heads.masked_lm import MaskedLM
from edgeroberta.roberta.heads.question_answering import QuestionAnswering
from edgeroberta.roberta.heads.sentence_embedding import ROWS as SENTENCE_EMBEDDINGS
from edgeroberta.roberta.heads.sentence_embedding import SentenceEmbeddingHead
from edgeroberta.roberta.heads.sequence_classification import OTHER_THAN_BERTS, SequenceClassification
from edgeroberta.roberta.heads.token_classification import TokenClassification
from edgeroberta.tasks import SentenceEmbedding, pooling

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from edgeroberta.tasks import Task

__all__ = [
    "HEADS",
    "EncoderTensors",
    "ForeignTensors",
    "Head",
    "HeadOutput",
    "HeadTensors",
    "HeadWeights",
    "PlainHead",
    "answers",
    "arguments",
    "auto_class",
    "auto_name",
    "build",
    "find",
    "is_known_class",
    "logits",
    "macs",
    "mask_counts",
    "name_of",
    "of_model",
    "of_task",
    "parameters",
    "shapes",
    "tensors",
]

#: Every kind of head, by the name that :attr:`edgeroberta.tasks.Task.head` gives.
HEADS: dict[str, Head] = {
    "sequence-classification": SequenceClassification(),
    "token-classification": TokenClassification(),
    "fill-mask": MaskedLM(),
    **SENTENCE_EMBEDDINGS,
    "question-answering": QuestionAnswering(),
}

#: Heads whose tensors have other names in a family, by its ``model_type``.
_OF_FAMILY: Mapping[str, Mapping[str, Head]] = {
    "bert": {
        "sequence-classification": SequenceClassification(
            "bert.pooler.dense", "classifier", OTHER_THAN_BERTS
        ),
        "fill-mask": MaskedLM(
            "cls.predictions.transform.dense",
            "cls.predictions.transform.LayerNorm",
            "cls.predictions.bias",
            "cls.predictions.decoder",
            activation=None,
        ),
    },
}

#: Classes of encoders without one of the heads.
_BASE = ("Model", "ForMaskedLM", "ForPreTraining")


def is_known_class(name: str) -> bool:
    """Tell whether encoder and head of a class are a family's own, whichever framework wrote the model."""
    known = "|".join((*_BASE, *(head.suffix for head in HEADS.values())))
    begins = "|".join(family.classes for family in FAMILIES.values())
    return re.fullmatch(rf"(TF|Flax)?({begins})({known})", name) is not None


def find(name: str, family: str) -> Head:
    """Return a head by its name, as models of a family (``model_type``) have it."""
    return _OF_FAMILY.get(family, {}).get(name) or HEADS[name]


def of_task(task: Task, family: str) -> Head:
    """Return the head that answers a task, as models of a family have it."""
    return find(task.head, family)


def name_of(model: Any) -> str:
    """Return the name of a model's head by its class in transformers; the first of all where it has none."""
    kind, usual = type(model).__name__, next(iter(HEADS))
    found = next((name for name, head in HEADS.items() if kind.endswith(head.suffix)), usual)
    if found not in SENTENCE_EMBEDDINGS:
        return found
    field = getattr(model.config, pooling.FIELD, None)  # which of them, an encoder's class does not tell
    if field is None:
        return usual
    how = SentenceEmbedding.from_json(field, where=pooling.FIELD)
    return f"sentence-embedding/{how.pooling}{'+normalize' if how.normalize else ''}"


def of_model(model: Any) -> Head:
    """Return the head of a model of transformers; see :func:`name_of`."""
    return find(name_of(model), model.config.model_type)


def answers(model: Any, ids: Tensor, mask: Tensor, *, wrapped: Any = None) -> Tensor:
    """Run a model of transformers, and return what the graph of it gives, float [B, …, outputs].

    ``ids``, ``mask``: int64 [B, S]. ``wrapped``: what to call in place of the model, where something is
    wrapped around it.
    """
    return of_model(model).run(model, ids, mask, wrapped=wrapped)


def logits(model: Any, ids: Tensor, mask: Tensor, *, wrapped: Any = None) -> Tensor:
    """Run a model of transformers, and return what losses are computed of.

    That is what the graph gives, but of masked words float [masks, vocabulary]. Arguments are those of
    :func:`answers`.
    """
    return of_model(model).logits(model, ids, mask, wrapped=wrapped)


def mask_counts(model: Any, ids: Tensor) -> Tensor | None:
    """Return how many masks each text has, int64 [B], where a model answers of masks alone; else None.

    ``ids``: int64 [B, S].
    """
    if not isinstance(of_model(model), MaskedLM):
        return None
    counts: Tensor = (ids == model.config.mask_token_id).sum(1)
    return counts


def auto_name(head: Head) -> str:
    """Return the name of the class of transformers that loads such a model of any family."""
    return f"AutoModel{head.suffix.removeprefix('Model')}"


def auto_class(head: Head) -> Any:
    """Return the class of transformers that loads such a model of any family."""
    import transformers

    return getattr(transformers, auto_name(head))


def arguments(head: Head) -> dict[str, Any]:
    """Return what the class of such a model of a known family takes beside the config."""
    return {"add_pooling_layer": False} if isinstance(head, SentenceEmbeddingHead) else {}


def build(model: PreTrainedModel, config: Any) -> PreTrainedModel:
    """Make a model of another's class and head, with fresh weights."""
    made: PreTrainedModel = type(model)(config, **arguments(of_model(model)))
    return made


def tensors(head: Head, *, optional: bool = False) -> tuple[str, ...]:
    """Return the names of its tensors; ``optional``: also of those that some models do not store."""
    more = head.optional(1, 1) if optional else ()
    return tuple(name for name, _ in (*shapes(head, 1, 1, 1), *more))


def shapes(head: Head, hidden: int, outputs: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List name and shape of its tensors."""
    for name, inputs, width in head.linears(hidden, outputs):
        yield f"{name}.weight", (width, inputs)
        yield f"{name}.bias", (width,)
    yield from head.others(hidden, vocabulary)


def parameters(head: Head, hidden: int, outputs: int, vocabulary: int) -> int:
    """Count its parameters."""
    return sum(prod(shape) for _, shape in shapes(head, hidden, outputs, vocabulary))


def macs(head: Head, hidden: int, outputs: int, length: int) -> int:
    """Count its multiply-accumulates for a text of ``length`` tokens."""
    tokens = 1 if head.first_token_only else length
    return tokens * sum(inputs * width for _, inputs, width in head.linears(hidden, outputs))
