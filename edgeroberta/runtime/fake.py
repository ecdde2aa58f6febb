"""A session without engine or files, for the tests of programs that use a runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.runtime import fake_embeddings, fake_masks, fake_spans
from edgeroberta.runtime.cascade import Cascade, Tier
from edgeroberta.runtime.encoding import Encoding, Input
from edgeroberta.runtime.model import Model
from edgeroberta.runtime.session import Ids, Logits, Session
from edgeroberta.runtime.tier_reading import TierReader
from edgeroberta.runtime.tokenids import InputLimits
from edgeroberta.tasks import Calibration, Problem, Task
from edgeroberta.tasks.schemes import BEGIN, END, INSIDE, OUTSIDE_LABEL, SINGLE, tag_table

# Logit of a label that is said to apply: a probability of 0.98.
_SURE = 4.0


@dataclass(frozen=True)
class FakeParts:
    """What a fake runtime is made of."""

    task: Task
    tokenizer: Any
    session: Session

    @property
    def model(self) -> Model:
        """Session and task; no id pads, since the ids are numbers of inputs."""
        return Model(self.session, self.task, InputLimits(self.tokenizer.max_length, -1, None))


def parts(
    problem: Problem, labels: tuple[str, ...], answers: Mapping[Input, Any], *, pair: bool
) -> FakeParts:
    """Make the parts of a runtime that answers from a table; see :meth:`.core.Runtime.fake`."""
    if problem is Problem.SPANS:
        return FakeParts(*fake_spans.parts(answers))
    if problem is Problem.MASKED:
        return FakeParts(*fake_masks.parts(answers))
    if problem is Problem.EMBEDDING:
        return FakeParts(*fake_embeddings.parts(answers))
    per_token = problem is Problem.TOKENS
    task = Task(problem, token_labels(labels) if per_token else labels, pair)
    tokenizer = FakeTokenizer(per_token=per_token)
    session = FakeTokenSession if per_token else FakeSession
    return FakeParts(task, tokenizer, session(task, tokenizer, answers))


def cascade(made: FakeParts, model: Model, tiers: Mapping[str, Collection[Input]]) -> Cascade:
    """Make a cascade whose tiers all give the same answers; see :meth:`.core.Runtime.fake`.

    ``model``: of ``made``. ``tiers``: name of each to the inputs that it is sure of.
    """
    *first, last = tiers
    if not first or made.task.apart:
        what = "embeddings have no tiers" if made.task.apart else "a cascade has two tiers at least"
        raise UsageError(what, where="tiers")
    readers = (_FakeReader(made.tokenizer, tiers[name]) for name in first)
    return Cascade(
        tuple(
            Tier(name, model, reader, -math.inf, Calibration())
            for name, reader in zip(first, readers, strict=True)
        ),
        last,
        model,
    )


class _FakeReader(TierReader):
    """Reads the inputs that a tier is sure of, and no others."""

    def __init__(self, tokenizer: Any, known: Collection[Input]) -> None:
        super().__init__(tokenizer.max_length, lambda: tokenizer)
        self._known = {tuple(tokenizer.encode_one(item).ids.tolist()) for item in known}

    def read(self, encoding: Encoding, item: Input | None = None, *, places: bool = False) -> Encoding | None:
        return encoding if tuple(encoding.ids.tolist()) in self._known else None


class FakeTokenizer:
    """Gives each distinct input a number of its own, as three ids ``<s> number </s>``.

    Of a task per token it is ``<s>``, the number once for each character of the text, ``</s>``: every
    character is a token and a word, so that entities may begin and end anywhere.
    """

    def __init__(self, *, per_token: bool = False) -> None:
        self.max_length = 1 << 24 if per_token else 512
        self.numbers: dict[Input, int] = {}

    def encode_one(self, item: Input, *, places: bool = False) -> Encoding:
        """Encode one input; texts of more than 510 words count as truncated where each has one answer."""
        number = self.numbers.setdefault(item, len(self.numbers))
        if places:
            characters = np.arange(len(item))
            found = np.zeros((len(item) + 2, 3), np.int64)
            found[:, 2] = -1
            found[1:-1] = np.stack([characters, characters + 1, characters], axis=1)
            return Encoding(np.array([0, *[number] * len(item), 2], np.int64), False, found)
        words = len(item.split()) if isinstance(item, str) else sum(len(text.split()) for text in item)
        return Encoding(np.array([0, number, 2], np.int64), words > self.max_length - 2)

    def encode(self, inputs: Sequence[Input], *, places: bool = False) -> list[Encoding]:
        """Encode several inputs."""
        return [self.encode_one(item, places=places) for item in inputs]


class FakeSession:
    """Answers from a table."""

    name = "fake"
    version = "0"

    def __init__(self, task: Task, tokenizer: FakeTokenizer, answers: Mapping[Input, Any]) -> None:
        self._task = task
        self._rows: dict[int, Logits] = {}
        self._other = self._row(())
        if task.problem is Problem.SINGLE_LABEL:
            self._other = self._row(task.labels[0])
        for item, answer in answers.items():
            number = int(tokenizer.encode_one(item).ids[1])
            self._rows[number] = self._row(answer)

    def padded_length(self, length: int) -> int:
        """Return ``length``."""
        return length

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Look the answers up; see :class:`edgeroberta.runtime.session.Session`."""
        return np.stack([self._rows.get(int(ids[1]), self._other) for ids in input_ids])

    def close(self) -> None:
        """Do nothing."""

    def _row(self, answer: Any) -> Logits:
        if isinstance(answer, (int, float)):
            return np.array([answer], np.float32)
        if isinstance(answer, Mapping):
            self._check(answer)
            return np.array([answer.get(label, -_SURE) for label in self._task.labels], np.float32)
        chosen = (answer,) if isinstance(answer, str) else tuple(answer)
        self._check(chosen)
        if self._task.problem is Problem.REGRESSION:
            return np.zeros(1, np.float32)
        # Two logits that are this far apart in softmax, or one this far from 0 in sigmoid.
        return np.array([_SURE if label in chosen else -_SURE for label in self._task.labels], np.float32)

    def _check(self, labels: Iterable[str]) -> None:
        for label in labels:
            if label not in self._task.labels:
                raise _unknown(label, self._task.labels)


class FakeTokenSession:
    """Answers from a table of the entities of texts."""

    name = "fake"
    version = "0"

    def __init__(self, task: Task, tokenizer: FakeTokenizer, answers: Mapping[Input, Any]) -> None:
        self._labels, self._table = task.labels, tag_table(task.labels)
        self._entities: dict[int, list[tuple[str, int, int]]] = {}
        for item, entities in answers.items():
            if isinstance(entities, str) or any(len(each) != 3 for each in entities):
                what = f"{entities!r} is no list of entities"
                raise UsageError(what, where="answers", hint='e.g. [("EMAIL", 5, 14)]: label, start, end')
            for label, start, end in entities:
                if not 0 <= start < end <= len(item):
                    what = f"an entity from {start} to {end}, where the text has {len(item)} characters"
                    raise UsageError(what, where="answers")
                self._tags(label)  # refuses what is no label
            self._entities[int(tokenizer.encode_one(item).ids[1])] = list(entities)

    def padded_length(self, length: int) -> int:
        """Return ``length``."""
        return length

    def run(self, input_ids: Ids, attention_mask: Ids) -> Logits:
        """Look the entities up, float32 [texts, tokens, labels]."""
        found = np.full((*input_ids.shape, len(self._labels)), -_SURE, np.float32)
        for row, ids in zip(found, input_ids, strict=True):
            tags = np.full(len(ids), self._labels.index(OUTSIDE_LABEL))
            for label, start, end in self._entities.get(int(ids[1]), []) if len(ids) > 2 else []:
                tags[start + 1 : end + 1] = self._tags(label)(end - start)
            row[np.arange(len(ids)), tags] = _SURE
        return found

    def close(self) -> None:
        """Do nothing."""

    def _tags(self, label: str) -> Callable[[int], list[int]]:
        """Return what gives the tags of an entity of so many characters, in the scheme of the labels."""
        table = self._table
        if label not in table.types:
            raise _unknown(label, sorted(table.types))
        own = np.flatnonzero(table.kinds == table.types.index(label)).tolist()
        ids = {int(table.prefixes[number]): number for number in own}
        inside = ids.get(INSIDE, own[0])
        first, last = ids.get(BEGIN, inside), ids.get(END, inside)
        single = ids.get(SINGLE, first)
        return lambda length: [single] if length == 1 else [first, *[inside] * (length - 2), last]


def token_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels of tokens; the types of entities alone get ``O``, ``B-`` and ``I-``."""
    if OUTSIDE_LABEL in labels:
        return tuple(labels)
    return (OUTSIDE_LABEL, *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def _unknown(label: str, labels: Sequence[str]) -> UsageError:
    return UsageError(
        f"there is no label {label!r} (labels: {', '.join(labels)})",
        where="answers",
        hint=did_you_mean(label, labels),
    )
