"""Several models that are asked one after the other, until one is sure enough of its answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.model import Model
from edgeroberta.runtime.session import Ids, Logits, Session
from edgeroberta.runtime.tier_reading import TierReader
from edgeroberta.tasks import Calibration, Outputs, Task
from edgeroberta.tasks.outputs import Indices

if TYPE_CHECKING:
    from edgeroberta.runtime.manifest import Manifest


class Rule(Protocol):
    """When the answer of a tier is given."""

    @property
    def threshold(self) -> float:
        """Least confidence."""

    @property
    def calibration(self) -> Calibration:
        """What makes a confidence of outputs."""


@dataclass(frozen=True)
class Tier:
    """A model that is asked before the last one."""

    name: str  # what a prediction calls it
    model: Model
    reader: TierReader  # what it reads of a text
    threshold: float  # least confidence with which its answer is given
    calibration: Calibration  # what makes a confidence of its outputs
    manifest: Manifest | None = None  # what its folder says; None of a fake

    def answers(self, values: Logits, places: Indices | None) -> bool:
        """Tell whether its answer for one text is given; see :class:`edgeroberta.tasks.TaskKind`."""
        task = self.model.task
        return task.kind.text_confidence(task, values, places, self.calibration) >= self.threshold


class Answered(NamedTuple):
    """What is said of one text, and by whom."""

    values: Logits  # float32 [units, labels]
    places: Indices | None  # int64 [units, 3]
    encoding: Encoding  # what was read
    tier: str


@dataclass(frozen=True)
class Cascade:
    """The tiers of a bundle."""

    tiers: tuple[Tier, ...]  # all but the last, in the order in which they are asked
    last: str  # name of the last one
    model: Model  # of the last one

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each tier, the last one included."""
        return (*(tier.name for tier in self.tiers), self.last)

    def wrapped(self, session: Callable[[Session], Session], tokenizer: Callable[[Any], Any]) -> Cascade:
        """Return the same tiers with something around their sessions, and around tokenizers of their own."""
        tiers = (
            replace(tier, model=tier.model.wrapped(session), reader=tier.reader.wrapped(tokenizer))
            for tier in self.tiers
        )
        return replace(self, tiers=tuple(tiers), model=self.model.wrapped(session))

    def escalating(self) -> Cascade:
        """Return the same tiers, none of which is ever sure but the last."""
        return replace(self, tiers=tuple(replace(tier, threshold=math.inf) for tier in self.tiers))

    def close(self) -> None:
        """Free the engines of all tiers."""
        for tier in self.tiers:
            tier.model.close()
        self.model.close()

    def answer(self, item: Input, encoding: Encoding, *, places: bool) -> Answered:
        """Ask one text or pair the shortest way.

        ``encoding``: what the last tier reads. ``places``: whether it tells what tokens stand for.
        """
        for tier in self.tiers:
            own = tier.reader.read(encoding, item, places=places)
            if own is None:
                continue
            values, found = _asked(tier.model, own)
            if tier.answers(values, found):
                return Answered(values, found, own, tier.name)
        return Answered(*_asked(self.model, encoding), encoding, self.last)

    def read(self, inputs: Sequence[Input], encodings: Sequence[Encoding], *, places: bool) -> list[Encoding]:
        """Add to the encodings of inputs what the tiers read in their place."""
        return [
            replace(one, tiers=tuple(tier.reader.read(one, item, places=places) for tier in self.tiers))
            for one, item in zip(encodings, inputs, strict=True)
        ]

    def encoding(self, encoding: Encoding, tier: int) -> Encoding | None:
        """Return what a tier, by its number, reads in place of an encoding; None where it reads nothing."""
        if tier == len(self.tiers):
            return encoding
        return encoding.tiers[tier] if encoding.tiers else self.tiers[tier].reader.read(encoding)

    def run(self, encodings: Sequence[Encoding], targets: Sequence[Ids] | None = None) -> Outputs:
        """Run inputs, each tier those that the tiers before it are not sure of.

        ``encodings``: of the last tier; inputs that a tier has to tokenize again pass it unless :meth:`read`
        has done so. ``targets``: see :meth:`.model.Model.run`. Returns outputs with the number of the
        tier that answered each.
        """

        def ask(number: int, rows: Indices) -> tuple[Indices, Outputs]:
            read = {row: self.encoding(encodings[row], number) for row in rows.tolist()}
            own = {row: one for row, one in read.items() if one is not None}
            model = self.model if number == len(self.tiers) else self.tiers[number].model
            found = model.run(list(own.values()), targets and [targets[row] for row in own])
            return np.fromiter(own, np.int64, len(own)), found

        return escalated(len(encodings), self.model.task, self.tiers, ask)


def mixed(task: Task, rules: Sequence[Rule], outputs: Sequence[Outputs]) -> Outputs:
    """Return what a cascade gives, of what each of its tiers gives for all texts.

    ``rules``: of all tiers but the last, in the order in which they are asked, such as
    :attr:`.tier_facts.CascadeFacts.tiers`. ``outputs``: of all tiers, for the same texts. Returns outputs
    with the number of the tier that answered each.
    """
    return escalated(len(outputs[0]), task, rules, lambda number, rows: (rows, outputs[number][rows]))


def sure(task: Task, outputs: Outputs, rule: Rule) -> npt.NDArray[np.bool_]:
    """Tell of which texts a tier's answer is given, bool [texts].

    Each is rated by itself, as a single text is, so that none depends on what stands beside it.
    """
    found = np.zeros(len(outputs), np.bool_)
    for row in range(len(outputs)):
        confidence = task.kind.text_confidence(task, *outputs.part(row), rule.calibration)
        found[row] = confidence >= rule.threshold
    return found


def escalated(
    count: int,
    task: Task,
    rules: Sequence[Rule],
    ask: Callable[[int, Indices], tuple[Indices, Outputs]],
) -> Outputs:
    """Ask tiers for so many texts, each for those that no tier before it is sure of.

    ``ask``: of the number of a tier and of texts, int64 [n], returns those that it takes and its outputs; the
    last tier takes all.
    """
    waiting = np.arange(count)
    parts: list[tuple[int, Indices, Outputs]] = []
    for number, rule in enumerate(rules):
        rows, found = ask(number, waiting)
        given = sure(task, found, rule)
        parts.append((number, rows[given], found[given]))
        waiting = np.setdiff1d(waiting, rows[given], assume_unique=True)
    parts.append((len(rules), *ask(len(rules), waiting)))
    parts = [each for each in parts if len(each[1])] or parts[-1:]
    order = np.argsort(np.concatenate([rows for _, rows, _ in parts]))
    tiers = np.concatenate([np.full(len(rows), number) for number, rows, _ in parts])
    return replace(Outputs.concatenate(found for _, _, found in parts)[order], tiers=tiers[order])


def _asked(model: Model, encoding: Encoding) -> tuple[Logits, Indices | None]:
    """Run one input: its outputs, float32 [units, labels], and their places."""
    if encoding.rest:
        return model.run([encoding]).part(0)
    return model.run_one(encoding.ids), encoding.places
