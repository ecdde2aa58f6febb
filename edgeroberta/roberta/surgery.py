"""Cutting a model down: the layers, heads and FFN neurons that stay, and the model made of them."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeroberta.errors import UsageError
from edgeroberta.roberta import heads as kinds
from edgeroberta.roberta import pruned, token_types
from edgeroberta.roberta.shape import EncoderShape, LayerShape

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_LAYER = re.compile(r"(.*\bencoder\.layer\.)(\d+)\.(.*)")
#: A layer's tensors that shrink with it: which indices pick from them, and along which dimension.
_CUTS = {
    "attention.self.query.weight": ("heads", 0),
    "attention.self.query.bias": ("heads", 0),
    "attention.self.key.weight": ("heads", 0),
    "attention.self.key.bias": ("heads", 0),
    "attention.self.value.weight": ("heads", 0),
    "attention.self.value.bias": ("heads", 0),
    "attention.output.dense.weight": ("heads", 1),
    "intermediate.dense.weight": ("neurons", 0),
    "intermediate.dense.bias": ("neurons", 0),
    "output.dense.weight": ("neurons", 1),
}


@dataclass(frozen=True)
class KeptUnits:
    """What stays of an encoder; every index counts from 0 in the source model as it stands."""

    layers: tuple[int, ...]  # the layers, rising
    heads: tuple[tuple[int, ...], ...]  # per kept layer, its attention heads, rising; at least one
    neurons: tuple[tuple[int, ...], ...]  # per kept layer, its FFN neurons, rising; at least one

    @classmethod
    def everything(cls, shape: EncoderShape) -> KeptUnits:
        """Keep all that a model of this shape has."""
        return cls.whole_layers(range(len(shape.layers)), shape)

    @classmethod
    def whole_layers(cls, layers: Sequence[int], shape: EncoderShape) -> KeptUnits:
        """Keep some layers, each as it is. ``layers``: indices of the layers, rising."""
        chosen = check_layers(layers, len(shape.layers))
        return cls(
            layers=chosen,
            heads=tuple(tuple(range(shape.layers[index].heads)) for index in chosen),
            neurons=tuple(tuple(range(shape.layers[index].intermediate)) for index in chosen),
        )

    @property
    def shapes(self) -> tuple[LayerShape, ...]:
        """Shapes of the kept layers."""
        pairs = zip(self.heads, self.neurons, strict=True)
        return tuple(LayerShape(len(heads), len(neurons)) for heads, neurons in pairs)

    def check(self, shape: EncoderShape) -> None:
        """Refuse layers, heads or neurons that do not rise or do not exist, and a layer that keeps none."""
        check_layers(self.layers, len(shape.layers))
        for name, per_layer in (("heads", self.heads), ("neurons", self.neurons)):
            if len(per_layer) != len(self.layers):
                raise UsageError(
                    f"{name} are given for {len(per_layer)} layers, {len(self.layers)} are kept",
                    hint=f"give the {name} of each kept layer",
                )
        for index, heads, neurons in zip(self.layers, self.heads, self.neurons, strict=True):
            layer = shape.layers[index]
            _check_rising(heads, layer.heads, "heads", index)
            _check_rising(neurons, layer.intermediate, "neurons", index)


def choose_layers(n_teacher: int, n_student: int) -> tuple[int, ...]:
    """Choose which layers of a teacher a student starts from: spread out, first and last among them.

    Student layer ``i`` of ``s`` starts from layer ``floor(i * t / (s - 1))`` of ``t``; for twelve layers cut
    to six this is the choice of DistilBERT (Sanh et al., arXiv:1910.01108). ``n_student``: layers of the
    student, at least 1. Returns indices of the teacher's layers, rising; e.g. ``(0, 2, 4, 5)`` for 4 of 6.
    Raises UsageError: the student would have no layer, or more than the teacher.
    """
    if not 1 <= n_student <= n_teacher:
        raise UsageError(
            f"a student of {n_student} layers cannot be cut from a teacher of {n_teacher}",
            hint=f"choose 1 to {n_teacher} layers",
        )
    if n_student == 1:
        return (0,)
    last = n_teacher - 1
    return tuple(min(i * n_teacher // (n_student - 1), last) for i in range(n_student))


def check_layers(layers: Sequence[int], n_teacher: int) -> tuple[int, ...]:
    """Refuse teacher layers, from 0, that do not exist or do not rise strictly."""
    chosen = tuple(layers)
    if not chosen or any(a >= b for a, b in itertools.pairwise(chosen)):
        raise UsageError(f"layers must rise, each at most once: {list(chosen)}", hint="e.g. [0, 2, 4, 5]")
    if chosen[0] < 0 or chosen[-1] >= n_teacher:
        outside = chosen[0] if chosen[0] < 0 else chosen[-1]
        raise UsageError(
            f"there is no layer {outside}; the model has {n_teacher}",
            hint=f"choose from 0 to {n_teacher - 1}",
        )
    return chosen


def check_widths(shape: EncoderShape, hidden_size: int | None, intermediate_size: int | None) -> None:
    """Refuse widths, None to leave one, that a model cannot be narrowed to; ``where`` names the argument."""
    size, width = shape.head_size, shape.hidden_size
    if hidden_size is not None and (hidden_size % size or not 0 < hidden_size <= width):
        raise UsageError(
            f"a hidden size of {hidden_size} is no multiple of the head size {size} up to {width}",
            where="hidden_size",
            hint=f"e.g. {max(width * 2 // 3 // size, 1) * size}",
        )
    widest = max(layer.intermediate for layer in shape.layers)
    if intermediate_size is not None and intermediate_size > widest:
        raise UsageError(
            f"an FFN of {intermediate_size} is wider than the model's {widest}",
            where="intermediate_size",
            hint="narrowing only takes away",
        )


def keep_layers(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """Make a student, on the CPU, of copies of some encoder layers, rising, with embeddings and head."""
    return prune(model, KeptUnits.whole_layers(layers, shape_of(model)))


def _check_rising(chosen: Sequence[int], count: int, name: str, layer: int) -> None:
    if not chosen:
        raise UsageError(
            f"layer {layer} would keep no {name}",
            hint="keep at least one, or leave the layer out as a whole",
        )
    if any(a >= b for a, b in itertools.pairwise(chosen)):
        raise UsageError(f"the {name} of layer {layer} must rise, each at most once")
    if chosen[0] < 0 or chosen[-1] >= count:
        outside = chosen[0] if chosen[0] < 0 else chosen[-1]
        raise UsageError(
            f"layer {layer} has {count} {name}; there is no {outside}",
            hint=f"choose from 0 to {count - 1}",
        )


def shape_of(model: PreTrainedModel) -> EncoderShape:
    """Read the shape of a model, pruned or not, from its modules; ``labels`` is what its config says."""
    config = model.config
    head_size = config.hidden_size // config.num_attention_heads
    return EncoderShape(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        head_size=head_size,
        max_positions=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        labels=config.num_labels if kinds.of_model(model).gives else config.hidden_size,
        layers=tuple(
            LayerShape(
                layer.attention.self.query.out_features // head_size, layer.intermediate.dense.out_features
            )
            for layer in model.base_model.encoder.layer
        ),
        head=kinds.name_of(model),
    )


def prune(model: PreTrainedModel, kept: KeptUnits) -> PreTrainedModel:
    """Make a smaller model of what is kept: heads, FFN neurons and whole layers, in one step.

    What is left out adds nothing in the result, as if its outputs were 0 in the source; the biases of the
    matmuls that read them stay. Embeddings and head are kept as they are. Beside the source there is only the
    new model in memory: it is built without fresh weights. ``model``: a Hugging Face RoBERTa, XLM-R or
    CamemBERT with any head, pruned before or not; it is not changed. Returns a model of the same class and
    type on the CPU, with its own copy of the weights, all of them trainable; its config has ``layer_shapes``
    where layers differ from the plain fields.
    """
    import torch

    source = shape_of(model)
    kept.check(source)
    config = copy.deepcopy(model.config)
    pruned.set_shapes(config, kept.shapes)
    with torch.device("meta"):
        student = kinds.build(model, config)
    pruned.resize(student, kept.shapes)
    state = dict(_cut(model, kept, source.head_size))
    student.load_state_dict(state, strict=True, assign=True)
    for name, buffer in model.named_buffers():  # those that no state holds, such as position ids
        owner, _, leaf = name.rpartition(".")
        setattr(student.get_submodule(owner), leaf, buffer.detach().cpu().clone())
    student.tie_weights()
    token_types.tell(student, token_types.told(model))
    return student.train(model.training)


def _cut(model: PreTrainedModel, kept: KeptUnits, head_size: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the new model's tensors, copies on the CPU, by their new names."""
    import torch

    place = {old: new for new, old in enumerate(kept.layers)}
    for name, tensor in model.state_dict().items():
        match = _LAYER.fullmatch(name)
        if match is None:
            yield name, tensor.cpu().clone()
            continue
        new = place.get(int(match[2]))
        if new is None:
            continue
        kind, dimension = _CUTS.get(match[3], (None, 0))
        if kind is None:
            picked = tensor.clone()
        else:
            index = torch.tensor(kept.neurons[new] if kind == "neurons" else kept.heads[new])
            if kind == "heads":
                index = (index[:, None] * head_size + torch.arange(head_size)).flatten()
            picked = tensor.index_select(dimension, index.to(tensor.device))
        yield f"{match[1]}{new}.{match[3]}", picked.cpu()
