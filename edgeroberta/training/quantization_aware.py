"""Quantization-aware distillation: the numbers of an int8 graph are learned from the teacher's answers.

After the post-training choice has found ranges, smoothing and what stays float, a few hundred steps let
weights, biases, norms and the steps of all grids make up for each other's rounding. It is distillation as of
any student; the student rounds as the engine will (:mod:`edgeroberta.roberta.int8_twin`).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeroberta.context import Context
from edgeroberta.data.rows import Rows
from edgeroberta.quantization import int16_saturation
from edgeroberta.roberta import loading
from edgeroberta.roberta.fake_quantized import WeightRounding, round_to_nearest
from edgeroberta.roberta.int8_twin import Int8Twin
from edgeroberta.roberta.quantized import AttentionPlan, MatMulPlan, QuantizationPlan
from edgeroberta.storage.artifact import digest_value
from edgeroberta.training import distillation
from edgeroberta.training.distill_settings import DistillationPlan, Int8DistillSettings

#: Name of the training, for progress and errors: the path of its settings.
LABEL = "quantize.distill"


@dataclass(frozen=True, eq=False)
class LearnedInt8:
    """What came of it."""

    matmuls: Mapping[str, MatMulPlan]  # the int8 form of every matmul that has one
    attentions: Mapping[str, AttentionPlan]
    #: all that is float, and the weights of all matmuls before their rounding, by their names in a checkpoint
    tensors: Mapping[str, Tensor]
    notes: Mapping[str, Any]  # those of the training


def learn(
    linear_ops: Sequence[str],
    plan: QuantizationPlan,
    settings: Int8DistillSettings,
    context: Context,
    *,
    tied: Collection[str],
    rows: Rows,
    avoid_saturation: bool,
) -> LearnedInt8:
    """Train the newest checkpoint as its int8 graph computes.

    ``linear_ops``: names of the matmuls of its graph, in order; ``tied``: those whose weights are the word
    embeddings. ``plan``: what is int8, and how. ``rows``: training rows to learn
    from. ``avoid_saturation``: keep weights from saturating an int16, see
    :mod:`edgeroberta.quantization.int16_saturation`.
    """
    if settings.eval_steps is None:
        # The last weights count, not the luckiest: the metric hardly tells one evaluation from the next.
        settings = settings.model_copy(update={"eval_steps": sys.maxsize})
    source = context.checkpoint
    student = loading.load_classifier(
        source,
        context.task,
        seed=context.seed,
        dropout=settings.dropout,
        attention_dropout=settings.attention_dropout,
    )
    rounding: WeightRounding = _round_safely if avoid_saturation else round_to_nearest
    with Int8Twin(student, linear_ops, plan, tied=tied, rounding=rounding) as twin:
        notes = distillation.train_student(
            DistillationPlan(
                student,
                source,
                layers=None,
                settings=settings,
                context=replace(context, data=replace(context.data, train=rows, unlabelled=None)),
                label=LABEL,
                scratch=context.scratch / "int8",
                key=digest_value([source.digest, _digest(plan), rows.digest, avoid_saturation]),
            )
        )
        matmuls, attentions = twin.matmuls(), twin.attentions()
    return LearnedInt8(matmuls, attentions, student.to("cpu").state_dict(), notes)


def _round_safely(steps: Tensor) -> Tensor:
    whole = int16_saturation.round_safely(steps.detach().T.cpu().numpy())
    return torch.from_numpy(np.ascontiguousarray(whole.T)).to(steps)


def _digest(plan: QuantizationPlan) -> str:
    """Digest what the parameters of a twin are relative to."""
    digest = hashlib.sha256()
    for name, each in sorted(plan.matmuls.items()):
        digest.update(repr((name, each.activation, sorted(plan.attentions.items()))).encode())
        smoothing = () if each.smoothing is None else (each.smoothing,)
        for array in (each.weight, each.weight_scale, each.bias, *smoothing):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
