"""Rows of text, their splits, and where they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeroberta.data.label_format import Format, LabelFormat, parse
from edgeroberta.errors import DataError
from edgeroberta.storage.artifact import digest_value
from edgeroberta.tasks import Ragged, Task, WordTags

#: What models of queries and passages are judged by where nobody says otherwise.
OF_SEARCHES = "recall@10"


class Texts(Protocol):
    """Texts or pairs of them, in memory (:class:`Rows`) or in files that are read as they are wanted."""

    @property
    def source(self) -> str:
        """Where they come from, for people."""

    @property
    def digest(self) -> str:
        """The sha256 of the content (hex), whatever the files and their format."""

    @property
    def units(self) -> int:
        """How many texts of a row are read one by one: two of a pair of which each is, else one."""

    def __len__(self) -> int: ...

    def chunks(self) -> Iterator[Rows]:
        """Give all texts in order, part by part."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Texts and what is known of them."""

    texts: tuple[str, ...]  # the texts, none empty
    pairs: tuple[str, ...] | None  # the second text of each row, or None for single texts
    #: int64[n] label ids, float32[n, L] zeros and ones for several labels per text, float32[n] values of a
    #: regression or scores of pairs, int64[n, 2] numbers of queries and passages,
    #: :class:`~edgeroberta.tasks.outputs.WordTags` of a task with a label per word,
    #: :class:`~edgeroberta.tasks.outputs.MaskedTokens` of masked words,
    #: :class:`~edgeroberta.tasks.outputs.AnswerSpans` of questions, or None when there are no labels
    labels: Any
    source: str  # where the rows come from, for people
    apart: bool = False  # whether the texts of a pair are read one by one, as embeddings are made of them
    #: what else is known of each row, by the name of its column: what slices are made by. Nothing is learnt
    #: from it and no row is chosen by it, so it is no part of the digest
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> Rows:
        """Return the rows at ``indices``, in that order."""
        chosen = [int(i) for i in indices]
        return Rows(
            texts=tuple(self.texts[i] for i in chosen),
            pairs=None if self.pairs is None else tuple(self.pairs[i] for i in chosen),
            labels=None if self.labels is None else self.labels[chosen],
            source=self.source,
            apart=self.apart,
            columns={name: tuple(values[i] for i in chosen) for name, values in self.columns.items()},
        )

    @property
    def units(self) -> int:
        """How many texts of a row are read one by one."""
        return 2 if self.apart and self.pairs is not None else 1

    def read(self) -> list[str] | list[tuple[str, str]]:
        """Return what is read at once: the inputs, or the texts of pairs that are read one by one."""
        if self.units == 1:
            return self.inputs()
        return [text for pair in self.inputs() for text in pair]

    def inputs(self) -> list[str] | list[tuple[str, str]]:
        """Return what the tokenizer and the runtime take: texts, or pairs of texts."""
        if self.pairs is None:
            return list(self.texts)
        return list(zip(self.texts, self.pairs, strict=True))

    def shown(self, task: Task) -> Task:
        """Return a task as these rows have it: of pairs or single texts, of words or of spans in texts."""
        task = replace(task, pair=self.pairs is not None and not self.apart)
        if self.apart and task.judged_by is None and is_searched(self.labels):
            task = replace(task, judged_by=OF_SEARCHES)
        if isinstance(self.labels, WordTags) and self.labels.labelled == "all":
            task = replace(task, aggregation="simple")
        return task

    def chunks(self) -> Iterator[Rows]:
        """Give the rows in one part, which is in memory as it is."""
        yield self

    @staticmethod
    def update(digest: hashlib._Hash, column: Sequence[str]) -> None:
        """Add texts to a digest, so that no two lists of texts give the same one."""
        for text in column:
            data = text.encode("utf-8")
            digest.update(b"%d:" % len(data) + data)

    @cached_property
    def columns_digest(self) -> str:
        """The sha256 of the columns beside texts and labels (hex)."""
        return digest_value({name: list(values) for name, values in sorted(self.columns.items())})

    @cached_property
    def digest(self) -> str:
        """The sha256 of texts, pairs and labels (hex); source and other columns are not part of it."""
        digest = hashlib.sha256(b"apart" if self.units > 1 else b"")
        for column in (self.texts, self.pairs or ()):
            digest.update(f"{len(column)}:".encode())
            self.update(digest, column)
        for array in _arrays(self.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def is_searched(labels: Any) -> bool:
    """Tell whether labels are numbers of queries and passages."""
    return isinstance(labels, np.ndarray) and labels.dtype == np.int64 and labels.shape[1:] == (2,)


def _arrays(labels: npt.NDArray[Any] | Ragged | None) -> tuple[npt.NDArray[Any], ...]:
    """Return what labels are made of."""
    if isinstance(labels, Ragged):
        places = () if labels.places is None else (labels.places,)
        return labels.values, labels.offsets, *places
    if is_searched(labels):  # numbers only tell which texts are the same, wherever counting began
        return tuple(_by_first(column) for column in np.asarray(labels).T)
    return () if labels is None else (labels,)


def _by_first(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number what is the same by its first occurrence, int64[n]."""
    _, first, found = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[found].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Splits:
    """The user's rows by what each part may be used for."""

    train: Rows  # what models learn from and are calibrated on
    validation: Rows  # what the best checkpoint is chosen by
    heldout: Rows  # what the gate is measured on: never trained on, calibrated on or chosen by
    unlabelled: Texts | None  # more texts to distil on, read as a stream, or None
    labels: tuple[str, ...]  # name of each label, in the order of the ids
    #: how many held-out rows have a text that the training data brought along as well. The copies were left
    #: out of the training rows, but a model trained before on those has seen them.
    leaked: int = 0
    #: how the labels of the training rows were read, and so those of all others; None where that is not known
    reading: LabelFormat | None = None
    #: rows that the thresholds of a cascade are chosen by, and nothing else: no model learns from them, is
    #: calibrated on them or measured on them. None where there is no cascade
    fresh: Rows | None = None

    @cached_property
    def digest(self) -> str:
        """The sha256 over all parts and the label names (hex)."""
        fresh = [] if self.fresh is None else [self.fresh.digest]
        return digest_value([self.training_digest, self.heldout.digest, *fresh])

    @cached_property
    def training_digest(self) -> str:
        """The sha256 over what models learn from and are chosen by (hex): no held-out and no fresh rows."""
        parts = (self.train, self.validation, self.unlabelled)
        digests = [None if part is None else part.digest for part in parts]
        # Tags of words and of spans are learned from in different ways.
        how = [tags.labelled] if isinstance(tags := self.train.labels, WordTags) else []
        return digest_value([digests, list(self.labels), *how])


@dataclass(frozen=True)
class FreshRows:
    """Which rows the thresholds of a cascade are chosen by."""

    #: of how many different texts, or questions, there are, how many to set aside; raises DataError where
    #: they are too few
    count: Callable[[int], int]
    texts: str | None = None  # a file of such texts, or a folder; None to set training rows aside


@dataclass(frozen=True)
class DataSpec:
    """Where the rows are and which columns hold what, as the user said it."""

    #: a file (CSV, TSV, JSONL, Parquet, CoNLL columns, aligned files), a folder with train, validation and
    #: test files, or a Hub dataset (``owner/name`` or ``owner/name:configuration``)
    data: str
    eval_data: str | None = None  # rows for the gate, all of them; otherwise a part of ``data`` is held out
    #: column of the text, or of the words; ``#6`` is the sixth column of a file without a header
    text: str | None = None
    text_pair: str | None = None  # column of the second text
    #: column of the label or value, or of tags or spans; ``a,b,c`` are columns of zeros and ones, one for
    #: each label
    label: str | None = None
    unlabelled: str | None = None  # a file of further texts, without labels, or a folder of such files
    eval_fraction: float = 0.1  # part of ``data`` that is held out, above 0 and below 1
    seed: int = 0  # seed of the split
    limit: int | None = None  # use a random sample of at most this many rows of each file
    #: how labels are written (:class:`~edgeroberta.data.label_format.Format`); None to tell it from the rows,
    #: where they leave no choice
    label_format: str | None = None
    #: how labels were read when a bundle was made, where that is known; ``label_format`` wins
    kept: LabelFormat | None = None
    slice_columns: tuple[str, ...] = ()  # columns whose values are kept with the rows, to slice them by

    @property
    def asked(self) -> Format | None:
        """How labels are written, where the user says so."""
        return None if self.label_format is None else parse(self.label_format)

    def __post_init__(self) -> None:
        if self.label_format is not None:
            parse(self.label_format)
        if not 0 < self.eval_fraction < 1:
            raise DataError(
                f"must be above 0 and below 1, not {self.eval_fraction}",
                where="eval_fraction",
                hint="to measure on a whole file, give it as the evaluation data",
            )
        if self.limit is not None and self.limit < 1:
            raise DataError(f"must be at least 1, not {self.limit}", where="limit")
