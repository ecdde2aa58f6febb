"""Populations of texts whose tiers are known."""

from dataclasses import dataclass

import numpy as np

from edgeroberta.cascade import TierEvidence
from edgeroberta.tasks import Outputs, Problem, Task

TASK = Task(Problem.SINGLE_LABEL, ("bad", "good"))


@dataclass(frozen=True)
class Population:
    """Texts with a margin that every tier sees through noise of its own.

    Attributes:
        noise: Standard deviation of each tier's margin about the last one's, which has none.
        seconds: Time of each tier, the last one's last.
    """

    noise: tuple[float, ...] = (2.0,)
    seconds: tuple[float, ...] = (1.0, 3.0)

    def draw(self, rng, rows):
        """Return outputs of each tier, the last one's last, and labels."""
        labels = rng.integers(0, 2, rows)
        last = (2 * labels - 1) * 3.0 + 2.0 * rng.normal(size=rows)
        margins = [*(last + noise * rng.normal(size=rows) for noise in self.noise), last]
        return [logits(each) for each in margins], labels

    def evidence(self, rng, calibration=2000, fresh=2000):
        """Return what tiers say of rows, and the labels of both kinds."""
        (first, labels), (second, fresh_labels) = self.draw(rng, calibration), self.draw(rng, fresh)
        tiers = [
            TierEvidence(f"tier{number}", before, after, seconds)
            for number, (before, after, seconds) in enumerate(zip(first, second, self.seconds, strict=True))
        ]
        return tiers, labels, fresh_labels


def logits(margins):
    """Return outputs of two labels with these margins of the second over the first."""
    halves = np.asarray(margins, np.float64)[:, None] / 2
    return Outputs.of_texts(np.hstack([-halves, halves]).astype(np.float32))
