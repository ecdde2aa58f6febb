"""What a compressed model may lose: the bounds that the gate holds it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgeroberta.tasks import Task


@dataclass(frozen=True)
class SwapLimits:
    """How much more often swapped terms may change the compressed model's answers."""

    max_increase: float = 0.02  # than the baseline's: as a share of the texts with a term


@dataclass(frozen=True)
class RobustnessLimits:
    """How much the compressed model may lose on perturbed texts."""

    max_drop: float = 0.03  # largest loss of the metric, baseline minus compressed, both on perturbed texts
    #: smallest share of rows with the baseline's answer to the same text; None where it does not count
    min_agreement: float | None = None


@dataclass(frozen=True)
class SliceLimits:
    """How much a compressed model may lose on each slice of the rows; None where it does not count."""

    max_drop: float | None = 0.03  # largest loss of the metric
    min_agreement: float | None = None  # smallest share of rows with the baseline's answer


@dataclass(frozen=True)
class GateLimits:
    """How much a compressed model may lose."""

    max_drop: float = 0.01  # largest loss of the task's metric; 0.01 is one point
    min_agreement: float = 0.95  # smallest share of rows with the baseline's answer
    confidence: float = 0.95  # of the interval that the loss must lie in, two-sided
    #: smallest share of the baseline's metric; None where only ``max_drop`` counts
    min_kept: float | None = None
    metric: str | None = None  # name of the metric that counts; None for the task's own
    min_recall: Mapping[str, float] = field(default_factory=dict)  # smallest recall, by label
    #: largest loss of recall: one number for every label, or by label; None where it does not count
    max_recall_drop: float | Mapping[str, float] | None = None
    #: cosine from which on two embeddings are the same answer; None for the usual one
    min_cosine: float | None = None
    swaps: SwapLimits | None = None  # None where swapped terms do not count
    robustness: RobustnessLimits | None = None  # None where perturbed texts do not count
    slices: SliceLimits | None = None  # what may be lost on each slice; None where slices are only told

    def of(self, task: Task) -> Task:
        """Return the task with what this gate takes for the same answer."""
        return task if self.min_cosine is None else replace(task, min_cosine=self.min_cosine)

    def allowed(self, baseline: float) -> float:
        """Return the largest loss that both ``max_drop`` and ``min_kept`` allow."""
        if self.min_kept is None:
            return self.max_drop
        return min(self.max_drop, (1 - self.min_kept) * max(baseline, 0.0))

    def recall_drop(self, label: str) -> float | None:
        """Return the largest loss of a label's recall; None where it does not count."""
        asked = self.max_recall_drop
        return asked.get(label) if isinstance(asked, Mapping) else asked

    def recall_labels(self, known: Sequence[str]) -> tuple[str, ...]:
        """Return the labels whose recall counts; ``known`` are those of the task."""
        asked = self.max_recall_drop
        some: Sequence[str] = tuple(asked or ()) if isinstance(asked, Mapping) or asked is None else known
        return tuple(dict.fromkeys((*self.min_recall, *some)))


def gate_limits(fields: Mapping[str, Any]) -> GateLimits:
    """Make a gate of settings that lie in each other, as recipes and reports have them."""
    nested: dict[str, Callable[..., Any]] = {
        "swaps": SwapLimits,
        "robustness": RobustnessLimits,
        "slices": SliceLimits,
    }
    made = {
        name: nested[name](**value) if name in nested and value is not None else value
        for name, value in fields.items()
    }
    return GateLimits(**made)
