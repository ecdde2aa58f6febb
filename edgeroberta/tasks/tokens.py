"""Tokens: entities in texts, by a label per token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError
from edgeroberta.tasks import statistics
from edgeroberta.tasks.confidence import Calibration, of_one
from edgeroberta.tasks.crosstab import NOTHING as NO_LABEL
from edgeroberta.tasks.crosstab import Crosstab
from edgeroberta.tasks.decoding import (
    NOTHING,
    EntityAnswer,
    Span,
    answers,
    certainty,
    certainty_of_text,
    decoded,
    tagged_words,
)
from edgeroberta.tasks.entities import TokenPrediction, read
from edgeroberta.tasks.kind import Array, Floats, Labelled, Metric
from edgeroberta.tasks.outputs import Indices, Outputs, WordTags
from edgeroberta.tasks.problem import Unit
from edgeroberta.tasks.schemes import tag_table
from edgeroberta.tasks.windows import merge_tokens

#: Entities of an answer that are written out.
_SHOWN = 6


class TokenLabels:
    """A label per token; answers are the entities of each text, object[n] of :class:`EntityAnswer`.

    F1, precision and recall count entities whose type and characters are right, over all texts, as seqeval
    does by default; ``f1_strict`` counts those of its strict mode. All are 0 where there is nothing.
    """

    optimum_task = "token-classification"
    head = "token-classification"
    unit = Unit.TOKEN
    default_metric = "f1"

    def __init__(self) -> None:
        self.metrics: Mapping[str, Metric] = {
            "f1": Metric(_together, statistics.f1_of_sums),
            "precision": Metric(_together, lambda sums: statistics.ratio(sums[..., 0], sums[..., 1])),
            "recall": Metric(_together, lambda sums: statistics.ratio(sums[..., 0], sums[..., 2])),
            "f1_strict": Metric(_strictly, statistics.f1_of_sums),
            "macro_f1": Metric(_by_type, statistics.macro),
        }

    def decide(self, task: Labelled, outputs: Outputs) -> Array:
        """Read entities from the tags of words, which are made of tokens as ``task.aggregation`` says."""
        return decoded(tag_table(task.labels), tagged_words(outputs, task.aggregation))

    def truth(self, task: Labelled, labels: WordTags) -> Array:
        """Read entities from the true tags of words."""
        return decoded(tag_table(task.labels), labels)

    def agrees(self, task: Labelled, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
        """Tell where it is the same entities."""
        pairs = zip(reference, other, strict=True)
        return np.fromiter((a.entities == b.entities for a, b in pairs), np.bool_, len(reference))

    def comparable(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return all of them: logits."""
        return values

    def lost(self, task: Labelled, good: Array, truth: Array) -> tuple[Array, Array, Array]:
        """Take each text in which an entity is right without any found."""
        pairs = zip(good, truth, strict=True)
        kept = np.fromiter(
            (not set(a.entities).isdisjoint(b.entities) for a, b in pairs), np.bool_, len(good)
        )
        kept = kept if kept.any() else np.ones(len(good), np.bool_)
        return good[kept], answers([NOTHING] * int(kept.sum())), truth[kept]

    def details(self, task: Labelled, answers: Array, truth: Array) -> dict[str, float]:
        """Return precision, recall and F1 of each type that occurs, as ``recall[PER]``."""
        hits, found, wanted = np.split(_by_type(answers, truth, task).sum(axis=0), 3)
        values = {
            "precision": statistics.ratio(hits, found),
            "recall": statistics.ratio(hits, wanted),
            "f1": statistics.f1(hits, found, wanted),
        }
        types = tag_table(task.labels).types
        return {
            f"{name}[{types[place]}]": float(each[place])
            for place in np.flatnonzero(found + wanted)
            for name, each in values.items()
        }

    def recall(self, task: Labelled) -> tuple[tuple[str, ...], Callable[[Array, Array], Floats]]:
        """Count hits and wanted entities of each type."""

        def counts(answers: Array, truth: Array) -> Floats:
            hits, _, wanted = np.split(_by_type(answers, truth, task), 3, axis=1)
            return np.hstack([hits, wanted])

        return tag_table(task.labels).types, counts

    def crosstab(self, task: Labelled, answers: Array, truth: Array) -> Crosstab:
        """Count which type was found at the characters of each true entity, and where there is none."""
        types = tag_table(task.labels).types
        pairs: list[tuple[int, int]] = []
        for answer, true in zip(answers, truth, strict=True):
            found, wanted = (_by_place(each.entities) for each in (answer, true))
            places = dict.fromkeys([*wanted, *found])
            pairs += ((wanted.get(place, len(types)), found.get(place, len(types))) for place in places)
        return Crosstab.of_pairs((*types, NO_LABEL), pairs)

    def numbers(self, task: Labelled, answers: Array, truth: Array) -> tuple[str, Floats] | None:
        """Return nothing; labels say it all."""
        return None

    def indicators(self, task: Labelled, answers: Array, truth: Array) -> tuple[Floats, Floats]:
        """Lay the type found at the characters of each true entity beside its own.

        Each text is also asked for the entities of the text before it, where it has none itself: so that
        there is something to tell apart where there is one type.
        """
        types = len(tag_table(task.labels).types)
        said: list[int] = []
        known: list[int] = []
        before: tuple[Span, ...] = truth[-1].entities if len(truth) else ()
        for answer, true in zip(answers, truth, strict=True):
            found, wanted = (_by_place(each.entities) for each in (answer, true))
            places = dict.fromkeys([*wanted, *_by_place(before)])
            said.extend(found.get(place, -1) for place in places)
            known.extend(wanted.get(place, -1) for place in places)
            before = true.entities
        one = np.vstack([np.eye(types), np.zeros(types)])  # the number -1 takes the last row
        return one[np.array(said, np.int64)], one[np.array(known, np.int64)]

    def constant(self, task: Labelled, truth: Array) -> tuple[npt.NDArray[np.float32], str] | None:
        """Return nothing; no entities are right for every text."""
        return None

    def sureness(self, task: Labelled, full: Outputs, compressed: Outputs) -> Floats:
        """Return how far the baseline's largest two logits are apart where the largest became another.

        Of models that cut texts into other tokens, how far they are apart on the token it was least sure of.
        """
        ordered = np.sort(full.values, axis=1)
        margin = (ordered[:, -1] - ordered[:, -2]).astype(np.float64)
        if not np.array_equal(full.offsets, compressed.offsets):
            least = np.full(len(full), np.inf)
            np.minimum.at(least, full.texts, margin)
            return least
        same = np.argmax(full.values, axis=1) == np.argmax(compressed.values, axis=1)
        found = np.zeros(len(full))
        np.maximum.at(found, full.texts, np.where(same, 0.0, margin))
        return found

    def confidence(self, task: Labelled, outputs: Outputs, calibration: Calibration) -> Floats | None:
        """Return the probability of the label of the least certain word; 1 where a text has none."""
        return certainty(outputs, task.aggregation, calibration.temperature)

    def text_confidence(
        self, task: Labelled, values: Array, places: Indices | None, calibration: Calibration
    ) -> float:
        """Rate the words of one text, float32 [tokens, L]."""
        if places is None:
            return of_one(self.confidence(task, Outputs.pack([values]), calibration))
        return certainty_of_text(values, places, task.aggregation, calibration.temperature)

    def named(self, task: Labelled, answer: Any, text: Any = None) -> str:
        """Write ``city: Paris``, or ``city: 8-13`` without the text; ``nothing`` where there is nothing."""
        types = tag_table(task.labels).types
        shown = [
            f"{types[kind]}: {text[start:end] if isinstance(text, str) else f'{start}-{end}'}"
            for kind, start, end in answer.entities
        ]
        return ", ".join([*shown[:_SHOWN], *(["…"] if len(shown) > _SHOWN else [])]) or "nothing"

    def merge(self, task: Labelled, windows: Outputs, overlap: int) -> Outputs:
        """Take each token from the window in whose middle it lies."""
        return merge_tokens(windows, overlap)

    def interpret(
        self,
        task: Labelled,
        values: npt.NDArray[np.float32],
        places: Indices | None,
        text: Any,
        *,
        truncated: bool,
    ) -> TokenPrediction:
        """Read the entities of one text from logits float32 [tokens, L]."""
        if places is None:
            raise EngineError("nobody said which characters the tokens stand for")
        return TokenPrediction(read(task.labels, task.aggregation, values, places, text), truncated)


def places(
    text: str,
    spans: Sequence[tuple[int, int]],
    special: Sequence[int],
    unknown: Iterable[int] = (),
    inside: Iterable[int] | None = None,
) -> Indices:
    """Tell what each token stands for, int64 [tokens, 3]; see :class:`edgeroberta.tasks.outputs.Ragged`.

    A word begins where the text begins or a space stands before or at a token's first character, as the
    ``token-classification`` pipeline of transformers has it for tokenizers that do not mark the inside of
    words. ``spans``: first character of each token and the one after its last. ``special``: 1 for tokens that
    stand for no characters. ``unknown``: numbers of the tokens that are the unknown one (``<unk>``), each of
    which the pipeline begins a word with. ``inside``: numbers of the tokens that a tokenizer marks as the
    inside of a word (``##``); every other one then begins a word, whatever stands before it. None where it
    marks none.
    """
    begins = frozenset(unknown)
    continues = None if inside is None else frozenset(inside)
    # A list first: writing into an array row by row takes five times as long.
    rows: list[tuple[int, int, int]] = []
    word = -1
    for (start, end), no_text in zip(spans, special, strict=True):
        if no_text:
            rows.append((0, 0, -1))
            continue
        if continues is not None:
            new = len(rows) not in continues
        else:
            new = start == 0 or " " in text[start - 1 : start + 1] or len(rows) in begins
        if word < 0 or new:
            word += 1
        rows.append((start, end, word))
    return np.array(rows, np.int64).reshape(-1, 3)


def _counted(said: Iterable[tuple[Span, ...]], true: Iterable[tuple[Span, ...]]) -> Floats:
    """Return hits, found and wanted over all types, float64[n, 3]."""
    pairs = ((set(a), set(b)) for a, b in zip(said, true, strict=True))
    return np.array([(len(a & b), len(a), len(b)) for a, b in pairs], np.float64).reshape(-1, 3)


def _together(said: Array, truth: Array, _: Labelled) -> Floats:
    return _counted((each.entities for each in said), (each.entities for each in truth))


def _strictly(said: Array, truth: Array, _: Labelled) -> Floats:
    return _counted((each.strict for each in said), (each.strict for each in truth))


def _by_type(said: Array, truth: Array, task: Labelled) -> Floats:
    """Return hits, found and wanted of each type, float64[n, 3 T]."""
    types = len(tag_table(task.labels).types)
    counts = np.zeros((len(said), 3 * types))
    cells: list[int] = []
    for row, (a, b) in enumerate(zip(said, truth, strict=True)):
        found, wanted = set(a.entities), set(b.entities)
        for place, spans in enumerate((found & wanted, found, wanted)):
            begin = (3 * row + place) * types
            cells.extend(begin + kind for kind, _, _ in spans)
    np.add.at(counts.reshape(-1), np.array(cells, np.int64), 1.0)
    return counts


def _by_place(entities: tuple[Span, ...]) -> dict[tuple[int, int], int]:
    return {(start, end): kind for kind, start, end in entities}


__all__ = ["EntityAnswer", "TokenLabels", "places"]
