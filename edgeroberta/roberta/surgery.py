"""Cutting a model down: which layers a student keeps, and the student made of them."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgeroberta.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LAYER = re.compile(r"(.*\bencoder\.layer\.)(\d+)(\..*)")


def choose_layers(n_teacher: int, n_student: int) -> tuple[int, ...]:
    """Choose which layers of a teacher a student starts from: spread out, first and last among them.

    Student layer ``i`` of ``s`` starts from layer ``floor(i * t / (s - 1))`` of ``t``; for twelve
    layers cut to six this is the choice of DistilBERT (Sanh et al., arXiv:1910.01108).

    Args:
        n_teacher: Layers of the teacher.
        n_student: Layers of the student, at least 1.

    Returns:
        Indices of the teacher's layers, rising; e.g. ``(0, 2, 4, 5)`` for 4 of 6.

    Raises:
        UsageError: The student would have no layer, or more than the teacher.
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
    """Refuse a list of layers that a teacher does not have, or that does not rise.

    Args:
        layers: Indices of the teacher's layers, from 0.
        n_teacher: Layers of the teacher.

    Returns:
        The layers as a tuple.

    Raises:
        UsageError: There are none, they do not rise strictly, or one is out of range.
    """
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


def keep_layers(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """Make a student of some of a model's encoder layers, with its embeddings and head.

    Args:
        model: A Hugging Face RoBERTa, XLM-R or CamemBERT with any head; it is not changed.
        layers: Indices of the layers to keep, rising.

    Returns:
        A model of the same class on the CPU, with its own copy of the weights.

    Raises:
        UsageError: The layers do not rise or are out of range.
    """
    import torch

    chosen = check_layers(layers, model.config.num_hidden_layers)
    place = {old: new for new, old in enumerate(chosen)}
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(chosen)
    state = {}
    for name, tensor in model.state_dict().items():
        match = _LAYER.fullmatch(name)
        if match is None:
            state[name] = tensor
        elif int(match[2]) in place:
            state[f"{match[1]}{place[int(match[2])]}{match[3]}"] = tensor
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten; spend no randomness
        student = type(model)(config)
    student.to(dtype=next(model.parameters()).dtype)
    student.load_state_dict(state, strict=True)
    return student
