"""The learning rate of every step."""

from __future__ import annotations

import math

from edgeroberta.training.hyperparameters import Hyperparameters, Schedule


def learning_rate(settings: Hyperparameters, step: int, total: int) -> float:
    """Return the learning rate of a step, from 0: a linear rise, then the schedule's fall to zero."""
    warm = math.ceil(settings.warmup * total)
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    left = (total - step) / max(total - warm, 1)
    shape = {
        Schedule.LINEAR: left,
        Schedule.COSINE: 0.5 * (1 - math.cos(math.pi * left)),
        Schedule.CONSTANT: 1.0,
    }
    return settings.learning_rate * shape[settings.schedule]
