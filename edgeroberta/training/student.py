"""A student before it is taught: cut from a larger model, and narrower where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgeroberta.roberta import narrowing, surgery
from edgeroberta.training import student_shape
from edgeroberta.training.student_shape import StudentShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.roberta.sensitivity import TextBatch


@dataclass(frozen=True, eq=False)
class CutStudent:
    """A student that is cut from a model."""

    model: PreTrainedModel
    layers: tuple[int, ...]  # which layers of that model its own stand for
    projection: Tensor | None = None  # float32[H of that model, H]; None where the width is the same


def cut(
    whole: PreTrainedModel,
    shape: StudentShape,
    *,
    where: str,
    samples: Callable[[], Sequence[TextBatch]],
    directions: bool = False,
) -> CutStudent:
    """Make a student of copies of some layers of a model with a head.

    ``where``: place of the shape's settings, for errors. ``samples``: texts that tell what of the model
    matters, asked for where the student is narrower. ``directions``: keep the main directions of hidden
    states in place of the most important channels. Raises RecipeError: there is no such student.
    """
    kept = student_shape.layers(shape.layers, whole.config.num_hidden_layers, where=where)
    model = surgery.keep_layers(whole, kept)
    if not shape.narrower:
        return CutStudent(model, kept)
    shape.check_widths(surgery.shape_of(model), where=where)
    narrowed = narrowing.narrow(
        model,
        samples(),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        directions=directions,
    )
    return CutStudent(narrowed.model, kept, narrowed.up)


def projection(
    student: PreTrainedModel, teacher: PreTrainedModel, *, guess: Tensor | None, seed: int
) -> nn.Module | None:
    """Make the map of a student's hidden states to its teacher's width; None where it needs none.

    ``guess``: float32[H of the teacher, H], where the way back is known; else the map is random.
    """
    ours, theirs = student.config.hidden_size, teacher.config.hidden_size
    if ours == theirs:
        return None
    if guess is None or guess.shape != (theirs, ours):
        source = torch.Generator().manual_seed(seed)
        guess = torch.randn(theirs, ours, generator=source) / ours**0.5
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten; spend no randomness
        linear = nn.Linear(ours, theirs, bias=False)
    with torch.no_grad():
        linear.weight.copy_(guess)
    return linear
