"""The ``prune`` stage: units that matter least to the task go, and the rest learns to do without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.prune.allocation import GRANULARITY
from edgeroberta.prune.goal import CostRatio, Goal, KeepRatios, PruningSchedule, TargetShapes, check_shapes
from edgeroberta.prune.importance import ImportanceMethod
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.stages import Context, RunOutline, StageConfig, stage
from edgeroberta.storage.artifact import Kind
from edgeroberta.training.distillation import DistillSettings

if TYPE_CHECKING:
    from edgeroberta.roberta.shape import EncoderShape

#: Parts that stay where neither parts nor a budget are given.
HEADS, FFN = 0.67, 0.5


class PruneBudget(StageConfig):
    """One budget for all layers: which part of its cost the model keeps. Exactly one is given."""

    CONTENT: ClassVar[tuple[str, ...]] = ("table",)

    params: float | None = Field(
        None, gt=0, le=1, description="Share of the layers' parameters to keep; embeddings do not count."
    )
    macs: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the layers' multiply-accumulates, for a text of the data's mean length.",
    )
    latency: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the int8 model's time for such a text on the target's first installed engine,"
        " measured here.",
    )
    table: str | None = Field(
        None,
        description="With latency: file of a latency table to use instead, as 'edgeroberta latency"
        " --json' prints it, for example of another device.",
    )

    @model_validator(mode="after")
    def _one(self) -> PruneBudget:
        if len([part for part in (self.params, self.macs, self.latency) if part is not None]) != 1:
            raise ValueError("give exactly one of params, macs and latency")
        if self.table is not None and self.latency is None:
            raise ValueError("a table is of latencies: leave it out, or give latency")
        return self

    @property
    def part(self) -> float:
        """The part that was given."""
        return next(part for part in (self.params, self.macs, self.latency) if part is not None)


class LayerSize(StageConfig):
    """What is left of one layer."""

    heads: int = Field(ge=1, description="Attention heads.")
    intermediate: int = Field(ge=1, description="FFN neurons.")


class PruneConfig(StageConfig):
    """What stays, how units are scored, and how the model recovers."""

    heads: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"Share of the attention heads to keep, over all layers; {HEADS} by default.",
    )
    ffn: float | None = Field(
        None, gt=0, le=1, description=f"Share of the FFN neurons to keep, over all layers; {FFN} by default."
    )
    layers: Literal["all", "auto"] | int | tuple[int, ...] = Field(
        "all",
        description="Layers to keep: all, a number, indices from 0, or auto: what suits the budget best.",
    )
    budget: PruneBudget | None = Field(
        None, description="One budget for heads and neurons together, instead of heads and ffn."
    )
    shapes: tuple[LayerSize, ...] | None = Field(
        None, description="Heads and FFN neurons of each kept layer, instead of heads, ffn and budget."
    )
    score: ImportanceMethod = Field(ImportanceMethod.TAYLOR, description="How units are scored.")
    evenly: bool = Field(False, description="Keep the same share in every layer; for comparison.")
    texts: int = Field(2048, ge=1, description="Training texts that units are scored on.")
    max_length: int = Field(128, ge=4, description="Longest of them in tokens; longer ones are truncated.")
    granularity: int = Field(
        GRANULARITY,
        ge=1,
        description="The number of a layer's neurons stays a multiple of this, for int8 kernels.",
    )
    steps: int = Field(1, ge=1, description="Number of pruning steps, each with new scores and recovery.")
    pace: PruningSchedule = Field(
        PruningSchedule.CUBIC, description="Schedule of the steps: how much each one prunes."
    )
    step_epochs: int = Field(1, ge=1, description="Epochs of recovery after each step but the last.")
    recovery: DistillSettings | None = Field(
        DistillSettings.model_validate({}),
        description="Distillation that follows the pruning; null for none.",
    )

    @model_validator(mode="after")
    def _one_size(self) -> PruneConfig:
        if self.budget is not None and (self.heads, self.ffn) != (None, None):
            raise ValueError("give either a budget, or heads and ffn")
        if self.budget is not None and self.evenly:
            raise ValueError("a budget is shared out unevenly: leave out evenly")
        if self.shapes is not None and (self.heads, self.ffn, self.budget) != (None, None, None):
            raise ValueError("give either shapes, or heads and ffn, or a budget")
        if self.budget is None and self.layers == "auto":
            raise ValueError("layers are chosen by a budget only: give a budget, or say how many layers")
        return self

    def depends(self) -> tuple[str, ...]:
        """Return the target and this machine where latency is measured."""
        measured = self.budget is not None and self.budget.latency is not None and self.budget.table is None
        return ("target", "device") if measured else ()


def _check(config: PruneConfig, outset: RunOutline) -> RunOutline:
    """Refuse a teacher or a latency table that does not fit, and layers that are not there."""
    from edgeroberta.prune import pricing
    from edgeroberta.roberta import surgery
    from edgeroberta.training import foreign

    if config.recovery is not None and config.recovery.teacher is not None:
        foreign.check(config.recovery.teacher, outset.task)
    if config.budget is not None and config.budget.table is not None:
        pricing.named_table(config.budget.table, outset.target)
    shape = outset.shape
    if shape is None or config.layers == "auto":
        return replace(outset, shape=None)
    depth = len(shape.layers)
    try:
        if isinstance(config.layers, tuple):
            kept = surgery.check_layers(config.layers, depth)
        else:
            kept = surgery.choose_layers(depth, depth if config.layers == "all" else config.layers)
    except UsageError as error:
        raise RecipeError(error.what, where="prune.layers", hint=error.hint) from error
    layers = tuple(shape.layers[index] for index in kept)
    if config.shapes is not None:
        given = tuple(LayerShape(each.heads, each.intermediate) for each in config.shapes)
        try:
            check_shapes(given, layers)
        except UsageError as error:
            raise RecipeError(error.what, where="prune.shapes", hint=error.hint) from error
        layers = given
    if config.recovery is not None:
        config.recovery.require_learning(len(layers), "prune.recovery")
    return replace(outset, shape=replace(shape, layers=layers))


@stage(
    "prune",
    config=PruneConfig,
    reads=(Kind.CHECKPOINT,),
    writes=Kind.CHECKPOINT,
    distributed=True,
    check=_check,
)
def prune(config: PruneConfig, context: Context) -> Mapping[str, Any]:
    """Cut heads, FFN neurons and layers out of the newest checkpoint, and let it recover.

    ``context``: the run; a killed one goes on behind the last step that was done. Returns notes: one entry
    per step (what is left of each layer, scores on the validation rows before and after recovery), indices of
    all that stays in the source model, parameters before and after, and with a budget what the model cost
    before and after.
    """
    from edgeroberta.prune import pricing, steps
    from edgeroberta.training import batching, finetuning

    source = context.checkpoint
    source.require_head()
    rows = steps.sample(context, config.texts)
    tokens = batching.tokenize(source, rows.inputs(), max_length=config.max_length)
    work = steps.PruningSteps(config, context, tokens, rows)
    state = work.restore() or work.begin()
    goal = _goal(config, context, state.shape_of_source)
    try:
        while len(state.records) < config.steps:
            state = work.step(state, goal)
    except UsageError as error:
        if isinstance(error, RecipeError):
            raise
        where = "prune.budget" if error.code == "recipe.budget-too-small" else "prune.layers"
        raise RecipeError(error.what, where=where, hint=error.hint, code=error.code) from error
    finetuning.save(state.model, context, tokenizer=source)
    cost = goal.size.cost if isinstance(goal.size, CostRatio) else None
    return {
        "steps": state.records,
        **({"cost": pricing.notes(cost, state.shape_of_source.layers, state.kept.shapes)} if cost else {}),
        "kept": state.kept_notes(),
        "score": state.records[-1]["score"],
        "parameters_before": source.parameters,
        "parameters": state.model.num_parameters(),
    }


def _goal(config: PruneConfig, context: Context, shape: EncoderShape) -> Goal:
    from edgeroberta.prune import pricing

    size: KeepRatios | CostRatio | TargetShapes
    if config.shapes is not None:
        size = TargetShapes(tuple(LayerShape(each.heads, each.intermediate) for each in config.shapes))
    elif config.budget is None:
        size = KeepRatios(config.heads or HEADS, config.ffn or FFN, evenly=config.evenly)
    else:
        size = CostRatio(pricing.cost_for(config.budget, context, shape), config.budget.part)
    return Goal(shape, size, config.layers, config.granularity)
