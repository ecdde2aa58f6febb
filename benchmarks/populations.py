"""Populations of texts whose tiers' answers are all known, to draw rows from: made up, or of bundles.

What is true of a cascade's thresholds is then looked up, and no sampling error comes with it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.texts import read
from edgeroberta.cascade import CascadeChoice, TierEvidence, choose
from edgeroberta.cascade.evidence import Asked, with_tolerance
from edgeroberta.runtime import Runtime
from edgeroberta.tasks import Outputs, Problem, Task

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: What is promised of every population, and how sure that is to be.
PROMISE, CONFIDENCE = 0.99, 0.95
#: Texts of a population that is made up.
TEXTS = 30_000
#: Texts that are timed on each tier.
_TIMED = 100

TWO, FIVE = (Task(Problem.SINGLE_LABEL, tuple("abcde"[:n])) for n in (2, 5))
VALUE = Task(Problem.REGRESSION, ("score",))


@dataclass(frozen=True, eq=False)
class Population:
    """All texts there are, by what each tier says of them.

    Attributes:
        name: Its name.
        task: What the outputs mean.
        tiers: Outputs of each tier on all texts, the last one's last.
        seconds: Time of each tier.
        labels: Of all texts; None where there are none.
        rows: Calibration rows of a draw, and fresh ones.
    """

    name: str
    task: Task
    tiers: Sequence[Outputs]
    seconds: Sequence[float]
    labels: Any = None
    rows: tuple[int, int] = (1000, 1500)

    def __len__(self) -> int:
        return len(self.tiers[-1])

    def choice(self, calibration: Indices, fresh: Indices) -> CascadeChoice:
        """Choose thresholds by some rows."""
        evidence = [
            TierEvidence(str(number), tier[calibration], tier[fresh], seconds)
            for number, (tier, seconds) in enumerate(zip(self.tiers, self.seconds, strict=True))
        ]
        labels = None if self.labels is None else self.labels[calibration]
        return choose(self.task, evidence, labels=labels, agreement=PROMISE, confidence=CONFIDENCE)

    def asked(self, choice: CascadeChoice, calibration: Indices) -> Asked:
        """Return what the tiers say of all texts, by the calibrations of a choice."""
        task = with_tolerance(self.task, self.tiers[-1][calibration])
        calibrations = [tier.calibration for tier in choice.tiers if tier.calibration is not None]
        return Asked.of(task, self.tiers, calibrations)


def made_up() -> list[Population]:
    """Return populations, each with something that is hard."""
    rng = np.random.default_rng(11)
    sure = (np.arange(TEXTS) + 0.5) / TEXTS
    second = np.clip(0.7 * sure + 0.3 * rng.random(TEXTS), 0, 1)

    def two(name: str, risk: Floats, *, margin: Floats = 6 * sure, rows: tuple[int, int] = (1000, 1500),
            seconds: tuple[float, float] = (1.0, 3.5)) -> Population:  # fmt: skip
        last = np.where(rng.random(TEXTS) < risk, -1, 1)
        return Population(name, TWO, [_margins(margin), _margins(6.0 * last)], seconds, rows=rows)

    smooth = 0.35 * (1 - sure) ** 3
    three = [
        _margins(6 * each * np.where(rng.random(TEXTS) < scale * (1 - each) ** 3, -1, 1))
        for each, scale in ((sure, 0.35), (second, 0.12))
    ]
    value = rng.normal(size=TEXTS)
    noise = (0.03 + 0.1 * np.abs(value)) * rng.normal(size=TEXTS)
    five = rng.integers(0, 5, TEXTS)
    other = np.where(rng.random(TEXTS) < smooth, (five + rng.integers(1, 5, TEXTS)) % 5, five)
    five_margins = np.eye(5, dtype=np.float32)[five] * (1 + 6 * sure[:, None]).astype(np.float32)
    return [
        two("less and less wrong where surer", smooth),
        two("a cliff", np.where(sure < 0.4, 0.3, 0.001)),
        two("sure and wrong", 0.2 * (1 - sure) ** 2 + 0.02 * (sure > 0.95)),
        two("five levels of confidence", smooth, margin=np.ceil(5 * sure)),
        two("no confidence tells anything", np.full(TEXTS, 0.0275)),
        two("no threshold keeps it, by a hair", np.full(TEXTS, 0.0352)),
        two("320 fresh rows", smooth, rows=(300, 320)),
        two("4,000 fresh rows", smooth, rows=(1000, 4000)),
        Population("five labels", FIVE, [Outputs.of_texts(five_margins), _one_hot(other)], (1.0, 3.5)),
        Population("three tiers", TWO, [*three, _margins(np.full(TEXTS, 6.0))], (0.2, 1.0, 3.5)),
        Population("a number", VALUE, [_values(value + noise), _values(value)], (1.0, 3.5)),
    ]


def _margins(margin: Floats) -> Outputs:
    """Return outputs of two labels by how far the second is above the first."""
    return Outputs.of_texts(np.stack([-margin / 2, margin / 2], axis=1).astype(np.float32))


def _one_hot(labels: Indices) -> Outputs:
    return Outputs.of_texts(6 * np.eye(5, dtype=np.float32)[labels])


def _values(values: Floats) -> Outputs:
    return Outputs.of_texts(values[:, None].astype(np.float32))


def of_bundles(bundles: Sequence[Path], data: Path, limit: int | None = None) -> Population:
    """Ask bundles, the last tier last, the rows of a file; their times are of single texts, one thread."""
    rows = read(data, bundles[-1], limit)
    outputs, seconds = [], []
    for bundle in bundles:
        with Runtime.open(bundle, threads=1) as runtime:
            outputs.append(runtime.outputs(rows.inputs()))
            task = runtime.task
            some = rows.inputs()[:_TIMED]
            start = time.process_time()
            for each in some:
                runtime.outputs([each])
            seconds.append((time.process_time() - start) / len(some))
    tenth = len(rows) // 10
    names = " to ".join(bundle.name for bundle in bundles)
    return Population(f"{data.stem}, {names}", task, outputs, seconds, rows.labels, (2 * tenth, 4 * tenth))
