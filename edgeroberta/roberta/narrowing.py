"""A narrower model made of a wide one: fewer channels, heads and FFN neurons, its weights not at random.

The narrow residual stream is a linear map of the wide one: some of its channels, or its main directions.
Matmuls that write to the stream are followed by that map, those that read from it are preceded by the way
back, and what the map loses is replaced by its mean. Heads and neurons are picked by their importance;
the size of a head stays.

What a norm does to the narrow stream is not what it did to the wide one: it divides by the deviation of
other channels, and its scale is no longer one per channel when directions are kept. So scale and shift of
each norm are fitted on texts, from the first norm to the last, to put out what the wide one did. A
residual stream can be turned without loss only where norms have no mean and no scale (SliceGPT, Ashkboos
et al., arXiv:2401.15024); the norms of an encoder stand behind each sum and are no such norms.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgeroberta.errors import UsageError
from edgeroberta.roberta import heads, pruned, sensitivity, token_types
from edgeroberta.roberta.heads import build, of_model
from edgeroberta.roberta.heads.masked_lm import MaskedLM
from edgeroberta.roberta.observers import OutputObserver
from edgeroberta.roberta.sensitivity import Sensitivity, TextBatch
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.roberta.surgery import check_widths, shape_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class Narrowed:
    """A narrower model."""

    model: PreTrainedModel  # the model, on the CPU
    up: Tensor  # float32[H, h], the way from its hidden states back to the wide model's


@dataclass(frozen=True, eq=False)
class _Stream:
    """The map between the two residual streams: ``narrow = down @ wide``, ``wide ~ up @ narrow + rest``."""

    down: Tensor  # float32[h, H]
    up: Tensor  # float32[H, h]
    rest: Tensor  # float32[1 + 2 layers, H], mean of what the map loses, at each norm


def narrow(
    model: PreTrainedModel,
    samples: Sequence[TextBatch],
    *,
    hidden_size: int | None = None,
    intermediate_size: int | None = None,
    directions: bool = False,
) -> Narrowed:
    """Make a narrower model of one with a head.

    ``model``: a Hugging Face model of one of the families with a head; left in evaluation mode.
    Layers that are pruned to fewer heads or neurons than the widths asked for keep what they have.
    ``hidden_size``: width of the residual stream, a multiple of the head size; None leaves it.
    ``intermediate_size``: width of the FFN; None leaves it.
    """
    check_widths(shape_of(model), hidden_size, intermediate_size)
    found = sensitivity.measure(model, samples)
    if isinstance(of_model(model), MaskedLM) and found.units is not None:
        if directions:
            raise UsageError(
                "the decoder of masked words reads channels, not directions", where="initialization"
            )
        found = replace(found, channels=found.channels + found.units)  # the same ones
    with torch.no_grad():
        stream = _stream(found, hidden_size or model.config.hidden_size, directions=directions)
        result = _fresh(model, hidden_size, intermediate_size)
        result.load_state_dict(_weights(model, result, found, stream), strict=True)
        result.eval()
        if hidden_size not in (None, model.config.hidden_size):
            _fit_norms(model, result, samples, stream.down)
    return Narrowed(result, stream.up)


def _head_size(model: PreTrainedModel) -> int:
    return int(model.config.hidden_size // model.config.num_attention_heads)


def _stream(found: Sensitivity, width: int, *, directions: bool) -> _Stream:
    wide = len(found.channels)
    if width == wide:
        down = torch.eye(wide)
    elif directions:
        vectors = torch.linalg.eigh(found.covariance.double()).eigenvectors
        down = vectors[:, -width:].flip(1).T.float()
    else:
        down = torch.eye(wide)[_best(found.channels, width)]
    up = down.T.contiguous()
    return _Stream(down, up, found.means - found.means @ down.T @ up.T)


def _best(scores: Tensor, count: int) -> Tensor:
    """Return the indices of the highest scores, rising."""
    return scores.argsort(descending=True, stable=True)[:count].sort().values


def _fresh(model: PreTrainedModel, hidden_size: int | None, intermediate_size: int | None) -> PreTrainedModel:
    config, size = copy.deepcopy(model.config), _head_size(model)
    config.hidden_size = hidden_size or config.hidden_size
    config.num_attention_heads = config.hidden_size // size
    config.intermediate_size = intermediate_size or config.intermediate_size
    shapes = [
        LayerShape(
            min(layer.heads, config.num_attention_heads), min(layer.intermediate, config.intermediate_size)
        )
        for layer in shape_of(model).layers
    ]
    pruned.set_shapes(config, shapes)
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten; spend no randomness
        result = build(model, config)
        pruned.resize(result, shapes)
    token_types.tell(result, token_types.told(model))
    return result


def _weights(
    model: PreTrainedModel, result: PreTrainedModel, found: Sensitivity, stream: _Stream
) -> dict[str, Tensor]:
    """Return all tensors of the narrower model; its norms get a first guess."""
    source, state = model.state_dict(), result.state_dict()
    made = {name: value for name, value in source.items() if state[name].shape == value.shape}
    base = "" if model.base_model is model else f"{model.base_model_prefix}."

    def reading(name: str, linear_op: int, rows: Tensor) -> None:
        weight, bias = source[f"{name}.weight"][rows], source[f"{name}.bias"][rows]
        made[f"{name}.weight"], made[f"{name}.bias"] = (
            weight @ stream.up,
            bias + weight @ stream.rest[linear_op],
        )

    def writing(name: str, columns: Tensor) -> None:
        made[f"{name}.weight"] = stream.down @ source[f"{name}.weight"][:, columns]
        made[f"{name}.bias"] = stream.down @ source[f"{name}.bias"]

    def norm(name: str) -> None:
        made[f"{name}.weight"] = stream.down.square() @ source[f"{name}.weight"]
        made[f"{name}.bias"] = stream.down @ source[f"{name}.bias"]

    for table in ("word", "position", "token_type"):
        name = f"{base}embeddings.{table}_embeddings.weight"
        made[name] = source[name] @ stream.down.T
    norm(f"{base}embeddings.LayerNorm")
    size = _head_size(model)
    for index, shape in enumerate(shape_of(result).layers):
        layer = f"{base}encoder.layer.{index}."
        kept = _best(found.heads[index], shape.heads)
        rows = (kept[:, None] * size + torch.arange(size)).flatten()
        neurons = _best(found.neurons[index], shape.intermediate)
        for part in ("query", "key", "value"):
            reading(f"{layer}attention.self.{part}", 2 * index, rows)
        writing(f"{layer}attention.output.dense", rows)
        norm(f"{layer}attention.output.LayerNorm")
        reading(f"{layer}intermediate.dense", 2 * index + 1, neurons)
        writing(f"{layer}output.dense", neurons)
        norm(f"{layer}output.LayerNorm")
    head = of_model(model)
    if not head.reads:
        return made
    if isinstance(head, MaskedLM):
        reading(head.reads, -1, torch.arange(len(source[f"{head.reads}.bias"])))
        for part in ("weight", "bias"):  # it writes what the decoder reads, which is the table of embeddings
            made[f"{head.reads}.{part}"] = stream.down @ made[f"{head.reads}.{part}"]
        norm(head.norm)
        made[f"{head.gives}.weight"] = source[f"{head.gives}.weight"] @ stream.down.T
        return made
    if found.units is None:
        reading(head.reads, -1, torch.arange(len(source[f"{head.reads}.bias"])))
        return made
    units = _best(found.units, result.config.hidden_size)
    reading(head.reads, -1, units)
    made[f"{head.gives}.weight"] = source[f"{head.gives}.weight"][:, units]
    return made


def _norms(model: PreTrainedModel) -> list[nn.Module]:
    """Return the norms of the stream, and the one of a head that writes to it."""
    head = of_model(model)
    own = [model.get_submodule(head.norm)] if isinstance(head, MaskedLM) else []
    return [*sensitivity.norms(model), *own]


def _fit_norms(
    model: PreTrainedModel, result: PreTrainedModel, samples: Sequence[TextBatch], down: Tensor
) -> None:
    """Fit scale and shift of each norm, first to last, to the wide model's outputs on the samples.

    Each channel gets the mean and deviation of what it stands for. Least squares would make the scale
    smaller the less the two agree, and the signal would fade from layer to layer.
    """
    for wide, norm in zip(_norms(model), _norms(result), strict=True):
        wanted, found = [], []
        for sample in samples:
            with OutputObserver(outputs=[wide]) as ours, OutputObserver(inputs=[norm]) as theirs:
                heads.logits(model, sample.ids, sample.mask)
                heads.logits(result, sample.ids, sample.mask)
            tokens = sample.mask.bool() if ours.values[wide].ndim == 3 else slice(None)  # or masks alone
            wanted.append(ours.values[wide][tokens] @ down.T)
            found.append(theirs.values[norm][tokens])
        _fit_norm(norm, torch.cat(found), torch.cat(wanted))


def _fit_norm(norm: nn.Module, given: Tensor, wanted: Tensor) -> None:
    plain = nn.functional.layer_norm(given, given.shape[-1:], eps=norm.eps)
    scale = wanted.std(0) / plain.std(0).clamp(min=1e-6)
    scale = scale * torch.where(((plain - plain.mean(0)) * (wanted - wanted.mean(0))).mean(0) < 0, -1.0, 1.0)
    norm.weight.copy_(scale)
    norm.bias.copy_(wanted.mean(0) - scale * plain.mean(0))
