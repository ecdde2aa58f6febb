"""The ``prune`` stage: units that matter least to the task go, and the rest learns to do without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeroberta.context import Context, RunOutline
from edgeroberta.errors import RecipeError, UsageError
from edgeroberta.prune.goal import CostRatio, Goal, KeepRatios, TargetShapes, check_shapes
from edgeroberta.prune.settings import FFN, HEADS, PruneConfig
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind

if TYPE_CHECKING:
    from edgeroberta.roberta.shape import EncoderShape


def _check(config: PruneConfig, outset: RunOutline) -> RunOutline:
    """Refuse a teacher or a latency table that does not fit, and layers that are not there."""
    from edgeroberta.prune import pricing
    from edgeroberta.roberta import surgery
    from edgeroberta.training import foreign

    outset.require_all_tokens("prune")
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

    ``context``: the run; a killed one resumes behind the last step that was done. Returns notes: one entry
    per step (what is left of each layer, scores on the validation rows before and after recovery), indices of
    all that stays in the source model, parameters before and after, and with a budget what the model cost
    before and after.
    """
    from edgeroberta.prune import pricing, steps
    from edgeroberta.prune.importance import ScoringExamples
    from edgeroberta.training import finetuning

    source = context.checkpoint
    source.require_head()
    rows = steps.sample(context, config.texts)
    examples = ScoringExamples.of(source, rows, context.task, max_length=config.max_length)
    work = steps.PruningSteps(config, context, examples)
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
