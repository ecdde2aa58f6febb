"""The ways to read a label column: each gives numbers, or tells the first cell that it does not fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.data import cells
from edgeroberta.data.columns import quoted
from edgeroberta.data.label_format import Format
from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError, did_you_mean, shown
from edgeroberta.tasks import Problem, Task

logger = logging.getLogger(__name__)

_ONE_LABEL = "are not one label, but the model gives one label per text"
_SEVERAL = (
    'a model for several labels per text says "problem_type": "multi_label_classification" in its config.json'
)
#: Least share of the rows at which -1 is taken for a label with another name rather than for none.
_FREQUENT = 0.05


@dataclass(frozen=True, eq=False)
class LabelColumn:
    """A column of labels, and the labels that they must be."""

    table: DataTable
    name: str
    task: Task  # one label per text or several, and their names in the order of the ids
    #: what ids, or places in a list, stand for in the data; None where as in the model
    names: tuple[str, ...] | None
    later: bool = False  # whether the training rows were read before, so that the model's names are settled

    @cached_property
    def lists(self) -> bool:
        """True where a row may have several labels."""
        several = self.task.problem is Problem.MULTI_LABEL
        return several or cells.hold_lists(self.table, self.name, self.task.labels)

    @cached_property
    def rows(self) -> list[list[str]]:
        """The labels of each row, as they are written."""
        if self.lists:
            return cells.several(self.table, self.name, self.task.labels)
        for row, cell in enumerate(self.table.columns[self.name]):  # before empty cells: they are lists, too
            if isinstance(cell, str) and cells.marked(cell.strip(), self.task.labels):
                raise _refused(self, row, _ONE_LABEL, _SEVERAL)
        return [[text] for text in cells.single(self.table, self.name, self.task.labels)]

    @cached_property
    def parts(self) -> set[str]:
        """All labels as they are written."""
        return {part for row in self.rows for part in row}

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The model's id for each of the data's own ids: by name where the names agree, else by place.

        The two orders do differ: MNLI's data has entailment first, roberta-large-mnli has it last.
        """
        labels = self.task.labels
        names = self.names or labels
        if len(names) != len(labels):
            what = f"column {self.name!r} holds {quoted(names)}; the model's labels are {quoted(labels)}"
            hint = f"take a model of {len(names)} labels, or rows of {len(labels)}"
            raise DataError(what, where=self.table.source, hint=hint)
        for spelt in (str, str.casefold):  # labels that differ in case alone are told apart by it
            ours = {spelt(label): i for i, label in enumerate(labels)}
            if sorted(map(spelt, names)) == sorted(ours):
                return tuple(ours[spelt(name)] for name in names)
        numbers = [cells.key(label) for label in labels]
        if set(numbers) == set(
            map(str, range(len(labels)))
        ):  # a model that calls its labels by the data's ids
            return tuple(numbers.index(str(i)) for i in range(len(labels)))
        # One that both know, at another place: then no order of places is the right one.
        for i, name in enumerate(names):
            if ours.get(name.casefold(), i) != i:
                raise DataError(
                    f"id {i} of column {self.name!r} is {name!r}, which is id {ours[name.casefold()]} of the "
                    f"model; its labels are {quoted(labels)}, those of the data {quoted(names)}",
                    where=self.table.source,
                    hint="call the labels alike in both: id2label in config.json and the class names",
                )
        logger.warning("%s: %s taken for %s, in this order", self.table.source, quoted(names), quoted(labels))
        return tuple(range(len(labels)))

    @cached_property
    def by_name(self) -> Mapping[str, int]:
        """The model's id for each way to write a label's name."""
        labels = self.task.labels
        # Names that the data gives its ids are other names of the model's labels.
        found = dict(zip(self.names, self.order, strict=True)) if self.names else {}
        found |= {cells.key(label): i for i, label in enumerate(labels)}
        found |= {label: i for i, label in enumerate(labels)}
        if cells.are_booleans(self.parts):
            found |= {label.casefold(): i for i, label in enumerate(labels) if cells.are_booleans([label])}
        return found

    def formats(self) -> tuple[Format, ...]:
        """Return what the column may be, likeliest first."""
        stored = self.name in self.table.label_names
        if stored and all(map(cells.WHOLE.fullmatch, self.parts)):
            return (Format.IDS,)
        return (Format.NAMES, Format.IDS, *((Format.MULTI_HOT,) if self.lists else ()))

    def likely(self) -> Format:
        """Return what the column was meant to be, where it fits none."""
        bits = [part for part in self.parts if cells.bit(part) is not None]
        if any(self.lookup(part) is not None for part in self.parts):
            return Format.NAMES
        if len(bits) == len(self.parts) and any(len(row) > 1 for row in self.rows):
            return Format.MULTI_HOT
        return Format.IDS if any(map(cells.WHOLE.fullmatch, self.parts)) else Format.NAMES

    def lookup(self, part: str) -> int | None:
        """Return the id of a label by its name."""
        for written in (part, cells.key(part), part.casefold() if cells.are_booleans([part]) else part):
            if written in self.by_name:
                return self.by_name[written]
        return None

    def overlap(self) -> bool:
        """Tell whether a cell can be both the name of a label and an id."""
        return any(cells.WHOLE.fullmatch(label) for label in self.task.labels)


def read(column: LabelColumn, form: Format) -> npt.NDArray[Any]:
    """Read a column in one way: int64[n] ids, or float32[n, L] zeros and ones, by problem."""
    if form is Format.MULTI_HOT:
        return _multi_hot(column)
    lookup = column.lookup if form is Format.NAMES else _by_id(column)
    ids = {part: found for part in column.parts if (found := lookup(part)) is not None}
    for row, parts in enumerate(column.rows):
        for part in parts:
            if part not in ids:
                raise _unknown(column, row, part, column.parts - ids.keys())
        numbers = [part for part in parts if form is Format.IDS or cells.WHOLE.fullmatch(part)]
        if len({ids[part] for part in numbers}) < len(numbers):
            raise _refused(column, row, "tells a label twice")
    if column.task.problem is Problem.SINGLE_LABEL:
        return np.array([ids[_only(column, row)] for row in range(len(column.rows))], dtype=np.int64)
    hot = np.zeros((len(column.rows), column.task.num_outputs), dtype=np.float32)
    for row, parts in enumerate(column.rows):
        hot[row, [ids[part] for part in parts]] = 1
    return hot


def describe(column: LabelColumn, form: Format) -> str:
    """Say how a column was read, where the cells are not the labels' names as the user wrote them."""
    labels, what = column.task.labels, f"{column.table.source}: column {column.name!r} is read as "
    if form is Format.MULTI_HOT:
        return f"{what}one 0 or 1 for each of {quoted(column.names or labels)}, in this order"
    negative = sum("-1" in map(cells.key, row) for row in column.rows)
    if form is Format.NAMES and "-1" in labels and negative:  # which often stands for "no label"
        return (
            f"{what}names: {quoted(labels)}; -1 is a label, too, in {negative:,} of {len(column.rows):,} rows"
        )
    if form is Format.NAMES or labels == tuple(f"LABEL_{i}" for i in range(len(labels))):
        return ""
    keys = cells.BOOLEANS if cells.are_booleans(column.parts) else tuple(map(str, range(len(labels))))
    meant = [f"{key} is {labels[i]!r}" for key, i in zip(keys, column.order, strict=False)]
    return f"{what}ids: {', '.join(meant[:6])}{', …' if len(meant) > 6 else ''}"


def _by_id(column: LabelColumn) -> Callable[[str], int | None]:
    """Return what looks up an id; true and false are 1 and 0 where there are two labels."""
    order = column.order
    booleans = len(order) == 2 and not cells.are_booleans(column.task.labels)

    def lookup(part: str) -> int | None:
        if booleans and cells.are_booleans([part]):
            return order[cells.BOOLEANS.index(part.casefold())]
        whole = cells.WHOLE.fullmatch(part)
        return order[int(whole[1])] if whole and 0 <= int(whole[1]) < len(order) else None

    return lookup


def _multi_hot(column: LabelColumn) -> npt.NDArray[Any]:
    count, order = column.task.num_outputs, list(column.order)
    hot = np.zeros((len(column.rows), count), dtype=np.float32)
    for row, parts in enumerate(column.rows):
        bits = [cells.bit(part) for part in parts]
        if None in bits:
            raise _refused(column, row, "is not a list of zeros and ones")
        if len(bits) != count:
            raise _refused(column, row, f"has {len(bits)} zeros and ones, but the model has {count} labels")
        hot[row, order] = bits
    if column.task.problem is Problem.MULTI_LABEL:
        return hot
    wrong = np.flatnonzero(hot.sum(axis=1) != 1)
    if len(wrong):
        raise _refused(column, int(wrong[0]), _ONE_LABEL, _SEVERAL)
    return hot.argmax(axis=1).astype(np.int64)


def _only(column: LabelColumn, row: int) -> str:
    if len(column.rows[row]) != 1:
        raise _refused(column, row, _ONE_LABEL, _SEVERAL)
    return column.rows[row][0]


def _refused(column: LabelColumn, row: int, what: str, hint: str | None = None) -> DataError:
    cell = shown(column.table.columns[column.name][row])
    return DataError(f"{cell} {what}", where=column.table.where(row), hint=hint)


def _unknown(column: LabelColumn, row: int, part: str, outside: set[str]) -> DataError:
    labels = column.task.labels
    what = f"unknown label {shown(part)}; the labels are {quoted(labels)}"
    hint = _hint(column, part, outside)
    return DataError(what, where=column.table.where(row), hint=hint, code="data.label-unknown")


def _hint(column: LabelColumn, part: str, outside: set[str]) -> str:
    """Say what to do about a label that is none; ``outside`` has all of these."""
    labels = column.task.labels
    near = {label.casefold(): label for label in labels}.get(part.casefold())
    if near == part:
        return "labels are read as ids here, and this is a name: --label-format names"
    if near:
        return f"did you mean {near!r}?"
    if listed := cells.marked(part, labels):
        several = column.task.problem is Problem.MULTI_LABEL
        together = f"write several labels of one text with a bar: {cells.SEPARATOR.join(listed)}"
        return together if several else _SEVERAL
    numbers = {int(whole[1]) for text in column.parts if (whole := cells.WHOLE.fullmatch(text))}
    if min(numbers, default=0) == 1 and max(numbers) == len(labels):
        return f"ids count from 0 to {len(labels) - 1}, and these from 1: take 1 off, or write names"
    if part.startswith("["):
        return "write several labels of one text with a bar, a|b, or as a JSON list"
    written = cells.distinct(column.parts)
    renamed = len(written) == len(labels) and all(column.lookup(each) is None for each in written)
    if not renamed and cells.distinct(outside) == ("-1",):
        count = sum(not outside.isdisjoint(row) for row in column.rows)
        if count < _FREQUENT * len(column.rows):
            return f"-1 often stands for 'no label': if it does here, delete these {count:,} rows"
    near = None if cells.WHOLE.fullmatch(part) else did_you_mean(part, labels)
    return near or _other_names(column, written, renamed)


def _other_names(column: LabelColumn, written: Sequence[str], renamed: bool) -> str:
    """Say how a column's own names become the model's."""
    labels = column.task.labels
    write = f"write {quoted(labels)}, or the ids 0 to {len(labels) - 1}, in column {column.name!r}"
    if renamed and not column.later:
        return (
            f"if {quoted(written)} are other names for these, {write}; "
            "or set id2label and label2id in config.json to them, each at the id the model was trained with"
        )
    if len(written) > len(labels):
        write = f"the column holds {len(written):,} labels, the model has {len(labels)}: {write}"
    return f"{write}; or name another label column: --label COLUMN"
