"""Heads on a RoBERTa encoder, one module a kind: names of tensors, loading, and what a graph ends with.

A new one is a module and a row of :data:`HEADS`; nothing else in this package knows their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgeroberta.roberta.heads.head import ForeignTensors, Head, HeadWeights
from edgeroberta.roberta.heads.sequence_classification import SequenceClassification
from edgeroberta.roberta.heads.token_classification import TokenClassification

if TYPE_CHECKING:
    from edgeroberta.tasks import Task

__all__ = [
    "HEADS",
    "ForeignTensors",
    "Head",
    "HeadWeights",
    "auto_class",
    "auto_name",
    "is_known_class",
    "macs",
    "name_of",
    "of_model",
    "of_task",
    "parameters",
    "shapes",
    "tensors",
]

#: Every kind of head, by the name that :attr:`edgeroberta.tasks.TaskKind.head` gives.
HEADS: dict[str, Head] = {
    "sequence-classification": SequenceClassification(),
    "token-classification": TokenClassification(),
}

#: Classes of encoders without one of the heads.
_BASE = ("Model", "ForMaskedLM", "ForPreTraining")


def is_known_class(name: str) -> bool:
    """Tell whether encoder and head of a class are RoBERTa's own, whichever framework wrote the model."""
    known = "|".join((*_BASE, *(head.suffix for head in HEADS.values())))
    return re.fullmatch(rf"(TF|Flax)?(Roberta|XLMRoberta|Camembert)({known})", name) is not None


def of_task(task: Task) -> Head:
    """Return the head that answers a task."""
    return HEADS[task.kind.head]


def name_of(model: Any) -> str:
    """Return the name of a model's head by its class in transformers; the first of all where it has none."""
    kind = type(model).__name__
    return next((name for name, head in HEADS.items() if kind.endswith(head.suffix)), next(iter(HEADS)))


def of_model(model: Any) -> Head:
    """Return the head of a model of transformers; see :func:`name_of`."""
    return HEADS[name_of(model)]


def auto_name(head: Head) -> str:
    """Return the name of the class of transformers that loads such a model of any family."""
    return f"AutoModel{head.suffix}"


def auto_class(head: Head) -> Any:
    """Return the class of transformers that loads such a model of any family."""
    import transformers

    return getattr(transformers, auto_name(head))


def tensors(head: Head) -> tuple[str, ...]:
    """Return the names of its tensors."""
    return tuple(f"{name}.{part}" for name, _, _ in head.linears(1, 1) for part in ("weight", "bias"))


def shapes(head: Head, hidden: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List name and shape of its tensors."""
    for name, inputs, width in head.linears(hidden, outputs):
        yield f"{name}.weight", (width, inputs)
        yield f"{name}.bias", (width,)


def parameters(head: Head, hidden: int, outputs: int) -> int:
    """Count its parameters."""
    return sum((inputs + 1) * width for _, inputs, width in head.linears(hidden, outputs))


def macs(head: Head, hidden: int, outputs: int, length: int) -> int:
    """Count its multiply-accumulates for a text of ``length`` tokens."""
    tokens = 1 if head.first_token_only else length
    return tokens * sum(inputs * width for _, inputs, width in head.linears(hidden, outputs))
