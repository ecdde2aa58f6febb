"""Rows with other texts: swapped or perturbed, and what their labels and answers are of.

Swaps ask only rows that have a term; a perturbation is of all rows, since a metric is, and rows that it
leaves as they are keep their answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.data import Rows
from edgeroberta.errors import DataError, UsageError
from edgeroberta.evaluation import perturbations
from edgeroberta.evaluation.swaps import Swapper
from edgeroberta.evaluation.term_lists import TermList
from edgeroberta.evaluation.text_edits import EditedText
from edgeroberta.tasks import AnswerSpans, Outputs, Problem, Task, WordTags
from edgeroberta.tasks.decoding import EntityAnswer

Change = Callable[[str], EditedText]


@dataclass(frozen=True)
class ChangeOptions:
    """Which changed texts to ask."""

    swaps: tuple[TermList, ...] = ()
    perturb: tuple[str, ...] = ()  # keys of :data:`edgeroberta.evaluation.perturbations.PERTURBATIONS`
    seed: int = 0  # of perturbations

    def __bool__(self) -> bool:
        return bool(self.swaps or self.perturb)


@dataclass(frozen=True, eq=False)
class ChangedRows:
    """Those rows whose text is another after a change."""

    name: str  # of the list of terms, or of the perturbation
    swapped: bool  # whether terms were swapped; else the texts were perturbed
    numbers: npt.NDArray[np.int64]  # int64[m], which of all rows they are, ascending
    firsts: tuple[EditedText, ...]  # the text of each, as it was and is
    seconds: tuple[EditedText, ...] | None  # the second text likewise; None for single texts
    guessed: int = 0  # rows with a term whose reading the next word decides

    def __len__(self) -> int:
        return len(self.numbers)

    def inputs(self) -> list[str] | list[tuple[str, str]]:
        """Return the changed texts, or pairs of texts."""
        if self.seconds is None:
            return [each.text for each in self.firsts]
        return [(one.text, two.text) for one, two in zip(self.firsts, self.seconds, strict=True)]

    @property
    def digest(self) -> str:
        """The sha256 of which rows they are, and of the changed texts (hex)."""
        digest = hashlib.sha256(self.numbers.tobytes())
        Rows.update(digest, [each.text for each in self.firsts])
        Rows.update(digest, [each.text for each in self.seconds or ()])
        return digest.hexdigest()

    @property
    def read(self) -> tuple[EditedText, ...]:
        """The texts that answers and labels name places in: contexts of questions, else the texts."""
        return self.firsts if self.seconds is None else self.seconds


def require(task: Task, options: ChangeOptions) -> None:
    """Refuse a task whose answers to changed texts cannot be compared with those to the texts."""
    if options and task.problem is Problem.MASKED:
        raise UsageError(
            "the word at a mask may rightly be another one where the words around it are",
            where="swaps" if options.swaps else "perturb",
            hint="leave it out for a model of masked words, or ask a model that was fine-tuned from it",
            code="usage.swaps" if options.swaps else "usage.perturb",
        )


def change(rows: Rows, options: ChangeOptions, task: Task) -> tuple[ChangedRows, ...]:
    """Change rows in each way that is asked for.

    Raises UsageError: the task cannot be asked so. DataError: no text has a term of a list, or none is
    changed by a perturbation.
    """
    require(task, options)
    return (*_swapped(rows, options.swaps), *_perturbed(rows, options))


def _swapped(rows: Rows, lists: Sequence[TermList]) -> Iterator[ChangedRows]:
    for terms in lists:
        swapper = Swapper(terms)
        found = _changed(terms.name, rows, swapper.swap, swapped=True)
        if not len(found):
            raise DataError(
                f"none of {len(rows):,} texts has a term of the list {terms.name!r}",
                where="swaps",
                hint="leave the list out, or bring rows that have them, or a file of terms that they have",
                code="usage.swaps",
            )
        yield replace(found, guessed=sum(map(swapper.guessed, _originals(found))))


def _originals(found: ChangedRows) -> Iterator[str]:
    for number, one in enumerate(found.firsts):
        yield one.original + ("" if found.seconds is None else f"\n{found.seconds[number].original}")


def _perturbed(rows: Rows, options: ChangeOptions) -> Iterator[ChangedRows]:
    perturbations.check(options.perturb)
    for name in options.perturb:

        def perturbed(text: str, name: str = name) -> EditedText:
            return perturbations.perturb(name, text, seed=options.seed)

        found = _changed(name, rows, perturbed, swapped=False)
        if not len(found):
            raise DataError(
                f"{name!r} changes none of {len(rows):,} texts",
                where="perturb",
                hint="leave it out: there is nothing that it could change (Chinese has no case)",
                code="usage.perturb",
            )
        yield found


def _changed(name: str, rows: Rows, how: Change, *, swapped: bool) -> ChangedRows:
    spans = rows.labels if isinstance(rows.labels, AnswerSpans) and not swapped else None
    numbers, firsts, seconds = [], [], []
    for number, text in enumerate(rows.texts):
        first = how(text)
        second = None if rows.pairs is None else how(rows.pairs[number])
        if spans is not None and second is not None and not _keeps(second, spans.part(number)[0]):
            second = EditedText(second.original)
        if first.edits or (second is not None and second.edits):
            numbers.append(number)
            firsts.append(first)
            if second is not None:
                seconds.append(second)
    return ChangedRows(
        name,
        swapped,
        np.array(numbers, np.int64),
        tuple(firsts),
        None if rows.pairs is None else tuple(seconds),
    )


def _keeps(context: EditedText, spans: npt.NDArray[Any]) -> bool:
    """Tell whether something is left of each answer."""
    moved = (context.forth(int(start), int(end)) for start, end in spans)
    return all(start < end for start, end in moved)


def labels(changed: ChangedRows, given: Any) -> Any:
    """Return the labels of all rows, with those of the changed texts at their new places.

    ``given``: as in :attr:`edgeroberta.data.Rows.labels`. Labels of whole texts stay as they are.
    """
    texts = dict(zip(changed.numbers.tolist(), changed.read, strict=True))
    if isinstance(given, WordTags):
        return _moved_tags(texts, given)
    return _moved_spans(texts, given) if isinstance(given, AnswerSpans) else given


def _moved_tags(texts: dict[int, EditedText], given: WordTags) -> WordTags:
    """Move the words; those of which nothing is left go with their tags."""
    if given.places is None:
        raise ValueError("nobody knows where the words are")
    values, places = [], []
    for row in range(len(given)):
        tags, words = given.part(row)
        assert words is not None  # as above
        if (text := texts.get(row)) is not None and len(words):
            moved = np.array([text.forth(int(start), int(end)) for start, end, _ in words], np.int64)
            words = np.column_stack([moved, words[:, 2]])
            left = moved[:, 0] < moved[:, 1]
            tags, words = tags[left], words[left]
        values.append(tags)
        places.append(words)
    return replace(WordTags.pack(values, places), labelled=given.labelled)


def _moved_spans(texts: dict[int, EditedText], given: AnswerSpans) -> AnswerSpans:
    values, contexts = given.values.copy(), list(given.contexts)
    for row, text in texts.items():
        contexts[row] = text.text
        for place in range(int(given.offsets[row]), int(given.offsets[row + 1])):
            values[place] = text.forth(*map(int, given.values[place]))
    return replace(given, values=values, contexts=tuple(contexts))


def answers_back(task: Task, changed: ChangedRows, outputs: Outputs) -> npt.NDArray[Any]:
    """Read answers to changed texts, at the places that they have in the texts as they were.

    ``outputs``: of the changed rows alone. Returns answers as ``task.decide`` does.
    """
    answers = task.decide(outputs)
    if task.problem not in (Problem.TOKENS, Problem.SPANS):
        return answers
    moved = np.empty(len(answers), object)
    for row, (answer, text) in enumerate(zip(answers, changed.read, strict=True)):
        if task.problem is Problem.SPANS:
            moved[row] = None if answer is None else text.back(*answer)
        else:
            moved[row] = EntityAnswer(*(_back(text, each) for each in (answer.entities, answer.strict)))
    return moved


def _back(text: EditedText, entities: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, int, int], ...]:
    return tuple((kind, *text.back(start, end)) for kind, start, end in entities)


def filled(whole: Outputs, changed: ChangedRows, part: Outputs) -> Outputs:
    """Return the outputs of all rows, those of the changed ones in their places."""
    order = np.arange(len(whole))
    order[changed.numbers] = len(whole) + np.arange(len(changed))
    return Outputs.concatenate([whole, part])[order]
