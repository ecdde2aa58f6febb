"""The settings of pruning: what stays, how units are scored, how the model recovers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from edgeroberta.prune.allocation import GRANULARITY
from edgeroberta.prune.goal import PruningSchedule
from edgeroberta.prune.importance import ImportanceMethod
from edgeroberta.settings import StageConfig
from edgeroberta.training.distill_settings import DistillSettings

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

    FORMER: ClassVar[Mapping[str, str]] = {"pace": "schedule"}

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
    schedule: PruningSchedule = Field(
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
