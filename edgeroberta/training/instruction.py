"""What comes before distillation: the teacher is opened and asked, and losses that do not fit are refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeroberta import metrics
from edgeroberta.artifact import digest_value
from edgeroberta.data.rows import Texts
from edgeroberta.errors import RecipeError
from edgeroberta.progress import Progress
from edgeroberta.roberta import probe, surgery
from edgeroberta.stages import Context
from edgeroberta.training import alignment, augmentation, batching, fitting, foreign, prediction, teacher
from edgeroberta.training.batching import Tokens
from edgeroberta.training.distillation import DistillSettings
from edgeroberta.training.foreign import Teacher
from edgeroberta.training.objective import Lesson, TextLabels
from edgeroberta.training.teacher import TeacherOutputs, Wanted

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Where fewer texts than this share are the same tokens to both models, losses on tokens say too little.
LEAST_ALIGNED = 0.5


@dataclass(frozen=True, eq=False)
class Plan:
    """A student and how it is to be taught; see :func:`edgeroberta.training.distillation.teach`."""

    student: PreTrainedModel
    tokenizer: Path
    layers: tuple[int, ...] | None
    settings: DistillSettings
    context: Context
    label: str
    projection: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that a student is taught with.

    Attributes:
        tokens: The texts as the student sees them.
        lesson: The teacher's outputs and the labels.
        projection: Maps the student's hidden states to the teacher's width; None where it needs none.
        key: Digest of all that determines it.
        notes: What is worth keeping in the lineage.
    """

    tokens: Tokens
    lesson: Lesson
    projection: nn.Module | None
    key: str
    notes: dict[str, Any] = field(default_factory=dict)


def prepare(plan: Plan) -> Prepared:
    """Open the teacher, ask it about all texts, and let it go again.

    Args:
        plan: The student and how it is to be taught.

    Returns:
        What to teach with.

    Raises:
        CheckpointError: The teacher cannot be used.
        RecipeError: A loss does not fit the two models or their tokenizers.
    """
    task, rows = plan.context.task, plan.context.data.train
    master = foreign.open_teacher(plan.settings.teacher, plan.context, where=f"{plan.label}.teacher")
    wanted = _wanted(plan, master)
    heads = _relation_heads(plan, master) if wanted.attention else 1
    inputs = _inputs(plan)
    tokens = batching.tokenize(plan.tokenizer, inputs, max_length=plan.settings.max_length)
    read = _as_read(plan, master, inputs, tokens, inside=bool(wanted.layers) or wanted.attention)
    outputs, score = _ask(plan, master, read.tokens, wanted)
    notes: dict[str, Any] = {"teacher_score": score}
    if read.aligned is not None:
        notes["aligned"] = round(float(read.aligned.mean()), 6)
    return Prepared(
        tokens=tokens,
        lesson=Lesson(
            outputs,
            TextLabels(rows.labels, task.problem, task.num_outputs),
            task.problem,
            heads,
            read.aligned,
        ),
        projection=_projection(plan, master) if wanted.layers else None,
        key=digest_value([master.digest, read.tokens.digest, rows.digest, heads]),
        notes=notes,
    )


def _wanted(plan: Plan, master: Teacher) -> Wanted:
    """Say which teacher outputs the losses need; refuse those of a teacher whose inside is not known."""
    weights, precision = plan.settings.weights, plan.settings.precision
    for name, weight in (("hidden", weights.hidden), ("attention", weights.attention)):
        if weight and not master.family:
            raise RecipeError(
                f"the inside of a teacher of type {master.model.config.model_type!r} cannot be compared",
                where=f"{plan.label}.weights.{name}",
                hint="set it to 0; its logits are learnt from whatever its architecture",
            )
    if not weights.hidden:
        return Wanted(attention=weights.attention > 0, precision=precision)
    depth, layers = master.model.config.num_hidden_layers, plan.layers
    if layers is None or max(layers) >= depth:
        count = plan.student.config.num_hidden_layers
        if count > depth:
            raise RecipeError(
                f"a student of {count} layers has no teacher layer for each in a teacher of {depth}",
                where=f"{plan.label}.weights.hidden",
                hint="set it to 0",
            )
        layers = surgery.choose_layers(depth, count)
    return Wanted(layers=layers, attention=weights.attention > 0, precision=precision)


def _relation_heads(plan: Plan, master: Teacher) -> int:
    """Return the number of relation heads, which divides both widths.

    Queries, keys and values are cut into equal parts whatever the attention heads are (MiniLMv2), so a
    student whose last layer has lost heads only needs another number of parts: the largest up to the
    teacher's heads that divides both widths.
    """
    widths = probe.attention_width(plan.student), probe.attention_width(master.model)
    most, stated = master.model.config.num_attention_heads, plan.settings.relation_heads
    if stated is not None and any(width % stated for width in widths):
        raise RecipeError(
            f"{stated} relation heads do not divide a width of {widths[0]} and {widths[1]}",
            where=f"{plan.label}.relation_heads",
            hint=f"leave it out; the teacher has {most} attention heads",
        )
    return stated or max(n for n in range(1, most + 1) if not widths[0] % n and not widths[1] % n)


def _inputs(plan: Plan) -> list[Any]:
    """Return the training texts, then the unlabelled ones, then changed copies of the former."""
    data, settings = plan.context.data, plan.settings
    parts: list[Texts] = [data.train, *([data.unlabelled] if data.unlabelled else [])]
    inputs: list[Any] = [item for part in parts for rows in part.chunks() for item in rows.inputs()]
    if settings.augment:
        inputs += augmentation.variants(data.train, settings.augment, seed=plan.context.seed)
    return inputs


@dataclass(frozen=True, eq=False)
class _Read:
    """The texts as the teacher reads them, and which are the same tokens to the student; None: all."""

    tokens: Tokens
    aligned: npt.NDArray[np.bool_] | None = None


def _as_read(plan: Plan, master: Teacher, inputs: list[Any], tokens: Tokens, *, inside: bool) -> _Read:
    """Tokenize for the teacher; for losses on tokens, see where it reads the same tokens.

    A teacher that only answers reads as much of a text as it takes, another one as much as the student.
    """
    longest = int(tokens.lengths.max())
    if alignment.same_tokenizer(plan.tokenizer, master.folder) and longest <= master.max_length:
        return _Read(tokens)
    if not inside:
        return _Read(master.encode(inputs, master.max_length))
    limit = min(longest, master.max_length)
    aligned = alignment.same_tokens((plan.tokenizer, longest), (master.folder, limit), inputs)
    if aligned.mean() < LEAST_ALIGNED:
        losses = "hidden" if plan.settings.weights.hidden else "attention"
        raise RecipeError(
            f"only {aligned.mean():.1%} of the texts are the same tokens to student and teacher, and this"
            " loss compares token by token",
            where=f"{plan.label}.weights.{losses}",
            hint="set it to 0; logits are learnt from whatever the tokenizer",
        )
    return _Read(master.encode(inputs, limit), aligned)


def _ask(plan: Plan, master: Teacher, tokens: Tokens, wanted: Wanted) -> tuple[TeacherOutputs, float]:
    """Compute the teacher's outputs and its own score on the validation rows, or find them again."""
    context, main = plan.context, prediction.accelerator().is_main_process
    identity = digest_value([master.digest, list(wanted.layers), wanted.attention, str(wanted.precision)])
    folder = context.scratch / "teacher" / identity[:12]
    outputs = teacher.compute(
        master.model,
        tokens,
        folder=folder,
        wanted=wanted,
        key=master.digest,
        progress=context.progress if main else Progress(),
    )
    rows = context.data.validation
    validation = master.encode(rows.inputs(), min(int(tokens.lengths.max()), master.max_length))
    logits = prediction.predict(master.model, validation, precision=wanted.precision)
    return outputs, metrics.score(context.task, logits, fitting.labels_of(rows))


def _projection(plan: Plan, master: Teacher) -> nn.Module | None:
    """Make the map of the student's hidden states to the teacher's width; None where it needs none."""
    ours, theirs = plan.student.config.hidden_size, master.model.config.hidden_size
    if ours == theirs:
        return None
    weight = plan.projection
    if weight is None or weight.shape != (theirs, ours):
        source = torch.Generator().manual_seed(plan.context.seed)
        weight = torch.randn(theirs, ours, generator=source) / ours**0.5
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten; spend no randomness
        linear = nn.Linear(ours, theirs, bias=False)
    with torch.no_grad():
        linear.weight.copy_(weight)
    return linear
