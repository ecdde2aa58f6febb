"""Weights of a checkpoint as float32 arrays, under the field's names and ready for a graph.

Every linear layer is held as ``[inputs, outputs]``, the transpose of PyTorch's layout. Every tensor is
held to the shape that the config tells for it, so the layers of a pruned model may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import checkpoint_validation
from edgeroberta.roberta.arrays import Array, LayerNorm, Linear
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.roberta.families import bare
from edgeroberta.roberta.heads import HeadWeights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Embeddings:
    """Word table float32 [vocabulary, hidden], position table float32 [max_length, hidden], norm.

    The rows below the position offset are dropped and token type 0 is added to every position: inputs are
    right-padded, and what tokens of type 1 have instead is added to them as a difference.
    """

    word: Array
    position: Array
    norm: LayerNorm
    second: Array | None = None  # token type 1 less token type 0, float32 [hidden]; None where there is none


@dataclass(frozen=True)
class EncoderLayer:
    """One encoder layer; ``heads`` counts the heads that are left in it."""

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: LayerNorm
    ffn_in: Linear
    ffn_out: Linear
    ffn_norm: LayerNorm
    heads: int


@dataclass(frozen=True)
class Weights:
    """All parameters of an encoder with its head."""

    config: EncoderConfig
    embeddings: Embeddings
    layers: tuple[EncoderLayer, ...]
    head: HeadWeights
    #: id of the token behind which tokens of a pair are of type 1; None where all are of type 0
    separator_id: int | None = None


def load_weights(
    model: Checkpoint | Path, *, pair: bool = False, trained: Mapping[str, Tensor] | None = None
) -> Weights:
    """Load a model with its head as float32, whatever float type it is stored in.

    ``pair``: whether its inputs are pairs, whose second text may be of another token type. ``trained``:
    tensors to take in place of the stored ones, by the names that they have in the files.
    """
    model = Checkpoint.of(model)
    config = model.config
    get = _tensor_getter(model, dict(checkpoint_validation.model_shapes(config)), trained or {})
    layers = tuple(_layer(get, config, index) for index in range(config.layers))
    separator = model.separator_id if pair else None
    embeddings = _embeddings(get, config, typed=separator is not None)
    names = {bare(name) for name in model.tensors}
    head = model.head.load(StoredTensors(config, embeddings.word, get, names))
    return Weights(config, embeddings, layers, head, separator)


def has_own_decoder(model: Checkpoint) -> bool:
    """Tell whether a model that fills masks stores a decoder that differs from its word embeddings."""
    names = {name for name, _ in model.head.optional(1, 1)}
    if not names.intersection(map(bare, model.tensors)):
        return False
    return not getattr(load_weights(model).head, "tied", True)


Getter = Callable[[str], Array]


@dataclass(frozen=True)
class StoredTensors:
    """Tensors of a checkpoint for its head; see :class:`edgeroberta.roberta.heads.HeadTensors`."""

    config: EncoderConfig
    words: Array
    tensor: Getter
    names: Container[str] = ()  # those of all that are stored, without the family's prefix

    def stored(self, name: str) -> Array | None:
        """Return a tensor that need not be there; None where it is not."""
        return self.tensor(name) if name in self.names else None

    def linear(self, name: str) -> Linear:
        """Return a linear layer by its name."""
        return _linear(self.tensor, name)

    def norm(self, name: str) -> LayerNorm:
        """Return a layer norm by its name."""
        return _norm(self.tensor, name)


def _tensor_getter(
    model: Checkpoint, shapes: Mapping[str, tuple[int, ...]], trained: Mapping[str, Tensor]
) -> Getter:
    """Return a function that reads one tensor of these by its name without the family's prefix."""
    from safetensors import SafetensorError, safe_open

    try:
        handles = [safe_open(file, framework="pt") for file in model.weight_files]
        owner = {key: handle for handle in handles for key in handle.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"the weights cannot be read ({error})", where=str(model)) from error

    def get(name: str) -> Array:
        for key in (f"{model.config.prefix}{name}", name):
            if key in owner:
                stored = trained[key] if key in trained else owner[key].get_tensor(key)
                tensor: Array = stored.detach().cpu().float().numpy()
                if tensor.shape != shapes[name]:
                    raise checkpoint_validation.mismatch(key, tensor.shape, shapes[name], where=str(model))
                return tensor
        raise CheckpointError(
            f"tensor {name!r} is missing",
            where=str(model),
            hint=f"a model fine-tuned for {model.head.title} is needed; to train one first, use "
            "--recipe finetune-int8",
        )

    return get


def _linear(get: Getter, name: str) -> Linear:
    return Linear(np.ascontiguousarray(get(f"{name}.weight").T), get(f"{name}.bias"))


def _norm(get: Getter, name: str) -> LayerNorm:
    return LayerNorm(get(f"{name}.weight"), get(f"{name}.bias"))


def _embeddings(get: Getter, config: EncoderConfig, *, typed: bool) -> Embeddings:
    word = get("embeddings.word_embeddings.weight")
    position = get("embeddings.position_embeddings.weight")[config.position_offset :]
    types = get("embeddings.token_type_embeddings.weight")
    second = types[1] - types[0] if typed else None
    return Embeddings(word, position + types[0], _norm(get, "embeddings.LayerNorm"), second)


def _layer(get: Getter, config: EncoderConfig, index: int) -> EncoderLayer:
    prefix = f"encoder.layer.{index}"
    return EncoderLayer(
        query=_linear(get, f"{prefix}.attention.self.query"),
        key=_linear(get, f"{prefix}.attention.self.key"),
        value=_linear(get, f"{prefix}.attention.self.value"),
        attention_output=_linear(get, f"{prefix}.attention.output.dense"),
        attention_norm=_norm(get, f"{prefix}.attention.output.LayerNorm"),
        ffn_in=_linear(get, f"{prefix}.intermediate.dense"),
        ffn_out=_linear(get, f"{prefix}.output.dense"),
        ffn_norm=_norm(get, f"{prefix}.output.LayerNorm"),
        heads=config.layer_shapes[index].heads,
    )
