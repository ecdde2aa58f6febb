"""What comes before distillation: the teacher is opened and asked, and losses that do not fit are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from edgeroberta import metrics
from edgeroberta.data.rows import Texts
from edgeroberta.errors import RecipeError
from edgeroberta.roberta import observers, surgery
from edgeroberta.storage.artifact import digest_value
from edgeroberta.tasks import Problem, Unit
from edgeroberta.training import (
    alignment,
    augmentation,
    batching,
    finetuning,
    foreign,
    heads,
    losses,
    masked_tokens,
    prediction,
    student,
    teacher,
    token_files,
)
from edgeroberta.training.batching import Encoder, Tokens
from edgeroberta.training.distill_settings import DistillationPlan
from edgeroberta.training.foreign import Teacher
from edgeroberta.training.heads import Matches
from edgeroberta.training.objective import DistillationTargets
from edgeroberta.training.shards import ShardedOutputs
from edgeroberta.training.teacher import WantedOutputs

#: Where fewer texts than this share are the same tokens to both models, losses on tokens say too little.
LEAST_ALIGNED = 0.5
#: Tokens of which a teacher's answer to a mask is kept; all others count as one.
BEST = 64


@dataclass(frozen=True, eq=False)
class DistillationData:
    """All that a student is taught with."""

    tokens: Tokens  # the texts as the student sees them
    distillation_targets: DistillationTargets  # the teacher's outputs and the labels
    projection: nn.Module | None  # maps the student's states to the teacher's width, where they differ
    key: str  # digest of all that determines it
    notes: dict[str, Any] = field(default_factory=dict)  # what is worth keeping in the lineage


def prepare(plan: DistillationPlan) -> DistillationData:
    """Open the teacher, ask it about all texts, and let it go again."""
    task, rows = plan.context.task, plan.context.data.train
    head = heads.of(task)
    plan.settings.require_learning(plan.student.config.num_hidden_layers, plan.label)
    teacher_model = foreign.open_teacher(plan.settings.teacher, plan.context)
    wanted = _wanted(plan, teacher_model)
    relation_heads = _relation_heads(plan, teacher_model) if wanted.attention else 1
    texts = _texts(plan)
    encoder = Encoder.open(plan.tokenizer, max_length=plan.settings.max_length)
    tokens = masked_tokens.prepared(
        _tokenized(plan, encoder, texts),
        task,
        source=plan.tokenizer,
        share=plan.settings.mask_share,
        seed=plan.context.seed,
    )
    read = _as_read(plan, teacher_model, texts, tokens, inside=bool(wanted.layers) or wanted.attention)
    matches = head.matches(tokens, read.tokens)
    matched = _matched(plan, matches)
    outputs, score = _ask(plan, teacher_model, read.tokens, wanted)
    labels = head.labels(rows, task, tokens)
    finetuning.tell_cut(labels.notes(), tokens.limit, finetuning.progress_of(plan.context))
    notes: dict[str, Any] = {"teacher_score": score, **labels.notes(), **matched}
    if read.aligned is not None:
        notes["aligned"] = round(float(read.aligned.mean()), 6)
    return DistillationData(
        tokens=tokens,
        distillation_targets=DistillationTargets(
            outputs,
            labels,
            task.problem,
            matches,
            relation_heads,
            read.aligned,
        ),
        projection=student.projection(
            plan.student, teacher_model.model, guess=plan.projection, seed=plan.context.seed
        )
        if wanted.layers
        else None,
        key=digest_value([teacher_model.source.digest, read.tokens.digest, rows.digest, relation_heads]),
        notes=notes,
    )


def _wanted(plan: DistillationPlan, teacher_model: Teacher) -> WantedOutputs:
    """Say which teacher outputs the losses need; refuse those of a teacher whose inside is not known."""
    weights, precision = plan.settings.weights, plan.settings.precision
    logits = plan.context.task.kind.unit
    for name, weight in (("hidden", weights.hidden), ("attention", weights.attention)):
        if weight and not teacher_model.family:
            raise RecipeError(
                f"a teacher of type {teacher_model.model.config.model_type!r} cannot be compared inside",
                where=f"{plan.label}.weights.{name}",
                hint="set it to 0; its logits are learnt from whatever its architecture",
            )
    width, temperature = None, 1.0
    if plan.context.task.problem is Problem.EMBEDDING:
        width = teacher_model.model.config.hidden_size
    if logits is Unit.MASK:
        width, temperature = 2 * min(BEST, teacher_model.model.config.vocab_size), plan.settings.temperature
    if not weights.hidden:
        return WantedOutputs(logits, width, temperature, attention=weights.attention > 0, precision=precision)
    depth, layers = teacher_model.model.config.num_hidden_layers, plan.layers
    if layers is None or max(layers) >= depth:
        count = plan.student.config.num_hidden_layers
        if count > depth:
            raise RecipeError(
                f"a student of {count} layers has no teacher layer for each in a teacher of {depth}",
                where=f"{plan.label}.weights.hidden",
                hint="set it to 0",
            )
        layers = surgery.choose_layers(depth, count)
    return WantedOutputs(
        logits,
        width,
        temperature,
        layers[plan.settings.freeze_layers :],
        attention=weights.attention > 0,
        precision=precision,
    )


def _relation_heads(plan: DistillationPlan, teacher_model: Teacher) -> int:
    """Return the number of relation heads, which divides both widths.

    Queries, keys and values are cut into equal parts whatever the attention heads are (MiniLMv2), so a
    student whose last layer has lost heads only needs another number of parts: the largest up to the
    teacher's heads that divides both widths.
    """
    widths = observers.attention_width(plan.student), observers.attention_width(teacher_model.model)
    most, stated = teacher_model.model.config.num_attention_heads, plan.settings.relation_heads
    if stated is not None and any(width % stated for width in widths):
        raise RecipeError(
            f"{stated} relation heads do not divide a width of {widths[0]} and {widths[1]}",
            where=f"{plan.label}.relation_heads",
            hint=f"leave it out; the teacher has {most} attention heads",
        )
    return stated or losses.relation_heads(most, widths)


def _texts(plan: DistillationPlan) -> list[Texts]:
    """Return the training texts, then the unlabelled ones, then changed copies of the former.

    Where words are masked, copies are not changed: in each, other words are masked.
    """
    data, count = plan.context.data, plan.settings.augment
    parts: list[Texts] = [data.train]
    if data.unlabelled is not None:
        parts.append(data.unlabelled)
    if plan.context.task.kind.unit is Unit.MASK:
        return [*parts, *[data.train] * count]  # of which other words are masked
    if count:
        parts.append(augmentation.AugmentedTexts(data.train, count, plan.context.seed))
    return parts


def _tokenized(plan: DistillationPlan, encoder: Encoder, texts: Sequence[Texts]) -> Tokens:
    """Tokenize into files that all calls of a stage share which read the same texts alike.

    The data and the seed are the stage's; so only the tokenizer and the number of copies tell the
    folders apart, and the files themselves tell when the texts are others.
    """
    name = digest_value([encoder.digest, plan.settings.augment])[:12]
    folder = plan.context.scratch / "tokens" / name
    places = plan.context.task.kind.unit.located
    return token_files.tokenize(
        encoder, texts, folder=folder, progress=finetuning.progress_of(plan.context), places=places
    )


@dataclass(frozen=True, eq=False)
class _TeacherTokens:
    """The texts as the teacher reads them, and which are the same tokens to the student; None: all."""

    tokens: Tokens
    aligned: npt.NDArray[np.bool_] | None = None


def _as_read(
    plan: DistillationPlan, teacher_model: Teacher, texts: Sequence[Texts], tokens: Tokens, *, inside: bool
) -> _TeacherTokens:
    """Tokenize for the teacher; for losses on tokens, see where it reads the same tokens.

    A teacher that only answers reads as much of a text as it takes, another one as much as the student.
    """
    longest = tokens.longest
    ours, theirs = plan.tokenizer.folder, teacher_model.source.folder
    if alignment.same_tokenizer(ours, theirs) and longest <= teacher_model.max_length:
        return _TeacherTokens(tokens)
    if plan.context.task.kind.unit is Unit.MASK:
        raise RecipeError(
            "the teacher has another tokenizer than the student, or takes shorter texts, and it answers token"
            " by token",
            where=f"{plan.label}.teacher",
            hint=f"name a teacher with the student's tokenizer, which takes {longest} tokens",
        )
    if not inside:
        return _TeacherTokens(_tokenized(plan, teacher_model.encoder(teacher_model.max_length), texts))
    limit = min(longest, teacher_model.max_length)
    read = _tokenized(plan, teacher_model.encoder(limit), texts)
    if tokens.inputs is None:
        aligned = alignment.same_tokens((ours, longest), (theirs, limit), texts)
    else:
        aligned = alignment.same_windows(tokens, read)
    if aligned.mean() < LEAST_ALIGNED:
        losses = "hidden" if plan.settings.weights.hidden else "attention"
        raise RecipeError(
            f"only {aligned.mean():.1%} of the texts are the same tokens to student and teacher, and this"
            " loss compares token by token",
            where=f"{plan.label}.weights.{losses}",
            hint="set it to 0; logits are learnt from whatever the tokenizer",
        )
    return _TeacherTokens(read, aligned)


def _matched(plan: DistillationPlan, matches: Matches) -> dict[str, float]:
    """Return the share of the student's answers that the teacher has one for, where not for all.

    Raises RecipeError: it is so little that the teacher has nothing to teach.
    """
    share = matches.share()
    if share is None:
        return {}
    if share < LEAST_ALIGNED and plan.settings.weights.logits:
        raise RecipeError(
            f"the teacher reads only {share:.1%} of the student's tokens as tokens of its own, and of tokens"
            " it answers one by one",
            where=f"{plan.label}.weights.logits",
            hint="name a teacher or a student with the same tokenizer",
        )
    return {"matched": round(share, 6)}


def _ask(
    plan: DistillationPlan, teacher_model: Teacher, tokens: Tokens, wanted: WantedOutputs
) -> tuple[ShardedOutputs, float]:
    """Compute the teacher's outputs and its own score on the validation rows, or find them again."""
    context = plan.context
    digest = teacher_model.source.digest
    root = context.teacher_outputs or context.scratch / "teacher"
    outputs = teacher.compute(
        teacher_model.model,
        tokens,
        folder=teacher.shared_folder(root, tokens, wanted=wanted, key=digest),
        wanted=wanted,
        key=digest,
        progress=finetuning.progress_of(plan.context),
    )
    rows = context.data.validation
    reader = teacher_model.encoder(min(tokens.longest, teacher_model.max_length))
    validation = batching.encoded(
        reader, rows.read(), places=context.task.kind.unit.located, units=rows.units
    )
    answers = prediction.predict(teacher_model.model, validation, precision=wanted.precision)
    task = context.task
    if task.problem is Problem.EMBEDDING:  # whose teacher may be of another width
        task = replace(task, dimensions=wanted.width)
    return outputs, metrics.score(task, answers, finetuning.labels_of(rows))
