"""The ``distill`` stage: a student of some of the teacher's layers learns to answer as the teacher does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from edgeroberta.artifact import Artifact, Kind, digest_value
from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.stages import Context, StageConfig, stage
from edgeroberta.training.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.training.batching import Tokens
    from edgeroberta.training.teacher import TeacherOutputs, Wanted


class DistillWeights(StageConfig):
    """How much each loss counts; a loss of weight 0 is not computed."""

    logits: float = Field(default=1.0, ge=0, description="The teacher's answer, softened by the temperature.")
    hard: float = Field(default=0.5, ge=0, description="The true labels; unlabelled texts have no such term.")
    hidden: float = Field(
        default=0.0, ge=0, description="Hidden states of the teacher's layers, token by token."
    )
    attention: float = Field(
        default=0.0, ge=0, description="Query, key and value relations of the teacher's last layer."
    )

    @model_validator(mode="after")
    def _something_to_learn(self) -> DistillWeights:
        if not (self.logits or self.hard or self.hidden or self.attention):
            raise ValueError("at least one weight must be above 0")
        return self


class DistillConfig(Hyperparameters):
    """Which layers the student keeps, and how it learns from the teacher."""

    layers: Literal["auto"] | int | tuple[int, ...] = Field(
        "auto",
        description="Number of layers to keep, or their indices from 0; auto keeps two thirds of them.",
    )
    temperature: float = Field(2.0, gt=0, description="Softens the teacher's answer; 1 leaves it.")
    weights: DistillWeights = Field(default=DistillWeights(), description="How much each loss counts.")
    relation_heads: int | None = Field(
        None, ge=1, description="Heads of the attention relations; by default the teacher's."
    )


@stage("distill", config=DistillConfig, reads=(Kind.CHECKPOINT,), writes=Kind.CHECKPOINT, distributed=True)
def distill(config: DistillConfig, context: Context) -> Mapping[str, Any]:
    """Train a student, cut from the newest checkpoint, on the full-size model's outputs.

    Args:
        config: Layers, losses and hyperparameters.
        context: The run; unlabelled rows are learnt from too, without the hard term.

    Returns:
        Notes: layers kept, the teacher's and the student's score on the validation rows, history of
        losses, parameters before and after.

    Raises:
        CheckpointError: The full-size model has no classification head.
        RecipeError: The layers or relation heads do not fit the models.
        EdgeRobertaError: The loss is no longer a finite number.
    """
    from edgeroberta.roberta import checkpoint, loading, surgery
    from edgeroberta.training import fitting
    from edgeroberta.training.distillation import DistillObjective

    source = context.inputs[Kind.CHECKPOINT]
    checkpoint.require_head(context.full_size)
    checkpoint.require_head(source.path)
    whole = loading.load_classifier(
        source.path,
        context.task,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
    )
    layers = _layers(config.layers, whole.config.num_hidden_layers)
    student = surgery.keep_layers(whole, layers)
    same = source.path.resolve() == context.full_size.resolve()
    teacher = whole if same else loading.load_classifier(context.full_size, context.task)
    alike = whole.config.num_hidden_layers == teacher.config.num_hidden_layers
    wanted = _wanted(config, layers if alike else None, student, teacher)
    tokens = _tokens(config, context, source)
    key = _digest_of_teacher(context, source, same=same)
    outputs, score = _teach(teacher, tokens, wanted, key, context)
    resolved = config.model_copy(
        update={"relation_heads": config.relation_heads or teacher.config.num_attention_heads}
    )
    del whole, teacher  # frees as much memory as the student, its gradients and optimizer take
    notes = fitting.run(
        fitting.Fit(
            label="distill",
            model=student,
            tokenizer=source.path,
            settings=config,
            objective=DistillObjective(resolved, context, student, outputs),
            tokens=tokens,
            key=digest_value([key, context.data.train.digest]),
        ),
        context,
    )
    return {
        **notes,
        "layers": list(layers),
        "teacher_score": score,
        "parameters_before": checkpoint.parameters(context.full_size),
        "parameters": student.num_parameters(),
    }


def _layers(choice: Literal["auto"] | int | tuple[int, ...], depth: int) -> tuple[int, ...]:
    from edgeroberta.roberta import surgery

    try:
        if isinstance(choice, tuple):
            return surgery.check_layers(choice, depth)
        count = max(round(depth * 2 / 3), 1) if choice == "auto" else choice
        return surgery.choose_layers(depth, count)
    except UsageError as error:
        raise RecipeError(error.what, where="distill.layers", hint=error.hint) from error


def _wanted(
    config: DistillConfig, layers: tuple[int, ...] | None, student: PreTrainedModel, teacher: PreTrainedModel
) -> Wanted:
    """Say which teacher outputs the losses need, and refuse losses that the two shapes do not allow.

    ``layers`` are those the student was cut from, None when that model is of another depth than the
    teacher: hidden states are then paired by place.
    """
    from edgeroberta.training.teacher import Wanted

    widths = student.config.hidden_size, teacher.config.hidden_size
    if config.weights.hidden and widths[0] != widths[1]:
        raise RecipeError(
            f"hidden states of width {widths[0]} cannot be compared with the teacher's of {widths[1]}",
            where="distill.weights.hidden",
            hint="set it to 0; attention relations do not depend on the width",
        )
    heads = config.relation_heads or teacher.config.num_attention_heads
    if config.weights.attention and any(width % heads for width in widths):
        raise RecipeError(
            f"{heads} relation heads do not divide a width of {widths[0]} and {widths[1]}",
            where="distill.relation_heads",
            hint=f"the teacher has {teacher.config.num_attention_heads} attention heads",
        )
    if layers is None and config.weights.hidden:
        layers = _layers(student.config.num_hidden_layers, teacher.config.num_hidden_layers)
    return Wanted(
        layers=(layers or ()) if config.weights.hidden else (),
        attention=config.weights.attention > 0,
        precision=config.precision,
    )


def _tokens(config: DistillConfig, context: Context, source: Artifact) -> Tokens:
    """Tokenize the training rows, then the unlabelled ones."""
    from edgeroberta.training import token_files
    from edgeroberta.training.encoding import Encoder

    data = context.data
    return token_files.tokenize(
        Encoder.open(source.path, max_length=config.max_length),
        [data.train] if data.unlabelled is None else [data.train, data.unlabelled],
        folder=context.scratch / "tokens",
        progress=context.progress,
    )


def _digest_of_teacher(context: Context, source: Artifact, *, same: bool) -> str:
    from edgeroberta.roberta import checkpoint

    student = checkpoint.digest(source.path)
    return student if same else digest_value([student, checkpoint.digest(context.full_size)])


def _teach(
    teacher: PreTrainedModel, tokens: Tokens, wanted: Wanted, key: str, context: Context
) -> tuple[TeacherOutputs, float]:
    """Compute the teacher's outputs and its own score on the validation rows."""
    from edgeroberta import metrics
    from edgeroberta.progress import Progress
    from edgeroberta.training import batching, fitting, prediction
    from edgeroberta.training.teacher import compute

    quiet = not prediction.accelerator().is_main_process
    outputs = compute(
        teacher,
        tokens,
        folder=context.scratch / "teacher",
        wanted=wanted,
        key=key,
        progress=Progress() if quiet else context.progress,
    )
    rows = context.data.validation
    validation = batching.tokenize(context.full_size, rows.inputs(), max_length=int(tokens.lengths.max()))
    logits = prediction.predict(teacher, validation, precision=wanted.precision)
    return outputs, metrics.score(context.task, logits, fitting.labels_of(rows))
