"""Token types in torch: which tokens of a pair are of its second text, told by the ids alone.

Families such as BERT add another vector to the tokens of the second text. Where that text begins follows from
the ids: behind the first separator. So nothing carries types beside ids; the embeddings of a model find them
out, however the model is called, and the graph does the same (:mod:`.graph`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

#: Attribute of a model's embeddings: id of the separator, None where all tokens are of type 0.
_SEPARATOR = "separator_id"


def of(ids: Tensor, separator: int) -> Tensor:
    """Return the type of each token, int64 [B, S]: 0 up to and with the first separator, 1 behind it.

    ``ids``: int64 [B, S]. Padding behind the first separator is of type 1 as well, and nothing is read of it.
    """
    found = (ids == separator).long()
    return (found.cumsum(1) - found).clamp(max=1)


def tell(model: PreTrainedModel, separator: int | None) -> None:
    """Let a model of transformers find out the types of its tokens, in place of those that it is given.

    ``separator``: id of the token that ends a first text; None for a model of single texts, or one whose
    tokens are all of one type.
    """
    embeddings: Any = model.base_model.embeddings
    if separator is not None and not hasattr(embeddings, _SEPARATOR):
        embeddings.register_forward_pre_hook(_typed, with_kwargs=True)
    if separator is not None or hasattr(embeddings, _SEPARATOR):
        setattr(embeddings, _SEPARATOR, separator)


def told(model: PreTrainedModel) -> int | None:
    """Return what :func:`tell` was given."""
    found: int | None = getattr(model.base_model.embeddings, _SEPARATOR, None)
    return found


def _typed(embeddings: nn.Module, arguments: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    separator = getattr(embeddings, _SEPARATOR)
    if separator is None:
        return arguments, named
    ids = named["input_ids"] if "input_ids" in named else arguments[0]
    return arguments, {**named, "token_type_ids": of(ids, separator)}
