"""Files of GLUE: tab-separated text in which quotes are ordinary characters, checked line by line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from edgeroberta.data import cells, readers
from edgeroberta.data.columns import quoted
from edgeroberta.data.glue_tasks import MSR_TEST, MSR_TRAIN, GlueTask
from edgeroberta.data.readers import DataTable
from edgeroberta.errors import DataError, did_you_mean, shown

#: Names of the columns of a table, whatever those of the file.
LABEL, PAIR = "label", ("sentence1", "sentence2")
#: Most rows that may be damaged in a file of which some are known to be.
_MOST_DAMAGED = 0.01
#: Range of the values of STS-B.
_SCORES = (0.0, 5.0)
_BOM = "\ufeff"
_COLA = ("source", "label", "star", "sentence")

#: Ids of the pairs of MRPC's training file that GLUE measures on.
_DEV_IDS = ("dev_ids.tsv", "mrpc_dev_ids.tsv")


def fits(file: Path, task: GlueTask, *, named: bool) -> bool:
    """Tell by the first lines of a file whether it is in a task's layout; ``named``: so is its folder."""
    header, row = opening(file)
    if not task.headers:
        return is_cola(header)
    if header not in task.headers:
        return False
    # Files of others may have the header of RTE or QNLI, but with other labels.
    label = row[header.index(task.label)] if len(row) == len(header) else ""
    return named or not task.words or label in (*task.labels, task.no_label)


def is_cola(fields: Sequence[str]) -> bool:
    """Tell a row of CoLA: where it is from, 0 or 1, a star or nothing, the sentence."""
    return len(fields) == len(_COLA) and fields[1] in ("0", "1") and fields[2] in ("", "*")


def opening(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields of the first two lines of a file, whatever they are."""
    with file.open(encoding="utf-8", errors="replace", newline="\n") as handle:
        first, second = (handle.readline().removeprefix(_BOM).rstrip("\r\n").split("\t") for _ in range(2))
    return tuple(first), tuple(second)


def read(
    file: Path, source: str, task: GlueTask, keep: Callable[[Sequence[str]], bool] | None = None
) -> DataTable:
    """Read a file with labels.

    ``keep``: tells by a row's fields whether to take it. Returns the table: ``sentence``, or the two columns
    of a pair, and ``label``, with what its ids stand for. Raises DataError: the file has no labels, another
    layout, or a label that the task has not; ``where`` has the line.
    """
    numbered = readers.numbered_lines(file, source=source)
    header: tuple[str, ...] = _COLA
    if task.headers:
        first, line = next(numbered)
        header = tuple(line.split("\t"))
        _check_header(header, f"{source}:{first}", task)
    elif file.name in task.unlabelled:
        raise _no_labels(f"{source}:1", task)
    places = [header.index(name) for name in (*task.texts, task.label)]
    rows: list[list[str]] = []
    lines: list[int] = []
    dropped = _Dropped(source, task)
    for number, line in numbered:
        fields = line.split("\t")
        if keep is not None and not keep(fields):
            continue
        if why := _damage(fields, header, places, task):
            dropped.take(number, why, may=task.damaged)
            continue
        row = [fields[place] for place in places]
        if row[-1] == task.no_label:
            dropped.take(number, f"the label {task.no_label!r}", may=True)
            continue
        _check_label(row[-1], f"{source}:{number}", task)
        rows.append(row)
        lines.append(number)
    notes = dropped.notes(len(rows))
    if not rows:
        raise DataError("no rows with a label", where=source, hint=f"unpack {task.name} again")
    named = (task.texts if not task.texts[0].startswith("#") else PAIR) + (LABEL,)
    named_cells = {name: list(column) for name, column in zip(named, zip(*rows, strict=True), strict=True)}
    return DataTable(source, named_cells, lines, label_names={LABEL: task.labels}, notes=notes)


def original_mrpc(folder: Path, name: str, task: GlueTask) -> Mapping[str, Callable[[], DataTable]]:
    """Return how to read MRPC as Microsoft distributes it: GLUE's split by its ids, else the files' own."""
    ids = dev_ids(folder)
    train = partial(read, folder / MSR_TRAIN, f"{name}/{MSR_TRAIN}", task)
    if ids is not None:
        chosen = {
            tuple(line.split("\t")[:2])
            for _, line in readers.numbered_lines(ids, source=f"{name}/{ids.name}")
        }
        return {
            "train": partial(train, lambda fields: tuple(fields[1:3]) not in chosen),
            "validation": partial(train, lambda fields: tuple(fields[1:3]) in chosen),
        }
    test = folder / MSR_TEST
    parts = {"train": train}
    if test.is_file():
        parts["validation"] = partial(read, test, f"{name}/{MSR_TEST}", task)
    return parts


def dev_ids(folder: Path) -> Path | None:
    """Return the file with the ids of GLUE's own split of MRPC, if it is there."""
    return next((folder / each for each in _DEV_IDS if (folder / each).is_file()), None)


class _Dropped:
    """Rows that are left out, by the reason."""

    def __init__(self, source: str, task: GlueTask) -> None:
        self.source, self.task = source, task
        self.lines: dict[str, list[int]] = {}
        self.damaged = 0

    def take(self, line: int, why: str, *, may: bool) -> None:
        if not may:
            raise DataError(
                why,
                where=f"{self.source}:{line}",
                hint="a tab always separates two fields, and a line break two rows; quotes are ordinary",
                code="data.layout",
            )
        self.lines.setdefault(why, []).append(line)
        self.damaged += self.task.damaged

    def notes(self, kept: int) -> tuple[str, ...]:
        """Say how many rows are left out; refuse a file of which too many are damaged."""
        if self.damaged > _MOST_DAMAGED * (kept + self.damaged):
            why, lines = next(iter(self.lines.items()))
            raise DataError(
                f"{why}, and {self.damaged:,} of {kept + self.damaged:,} rows are damaged",
                where=f"{self.source}:{lines[0]}",
                hint=f"the archive's own file has very few such rows: unpack {self.task.name} again",
                code="data.layout",
            )
        return tuple(
            f"{self.source}: {len(lines):,} {'row' if len(lines) == 1 else 'rows'} left out for {why} "
            f"(line {lines[0]}{' and others' if len(lines) > 1 else ''})"
            for why, lines in self.lines.items()
        )


def _damage(fields: Sequence[str], header: Sequence[str], places: Sequence[int], task: GlueTask) -> str:
    if len(fields) != len(header):
        found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        return f"{found} where {task.name} has {len(header)}"
    empty = [header[place] for place in places if not fields[place].strip()]
    return f"an empty {empty[0]}" if empty else ""


def _check_header(header: tuple[str, ...], where: str, task: GlueTask) -> None:
    if header in task.headers:
        return
    if task.label not in header and set(task.texts) <= set(header):
        raise _no_labels(where, task)
    raise DataError(
        f"not the header of {task.name}, which is {quoted(task.headers[0])}",
        where=where,
        hint="put it there, with a tab between two names; or name the columns: --text, --label",
        code="data.layout",
    )


def _no_labels(where: str, task: GlueTask) -> DataError:
    return DataError(
        f"these are test rows of {task.name}, whose labels GLUE keeps to itself",
        where=where,
        hint=f"measure on {task.dev}; their texts can be distilled on: --unlabelled",
        code="data.no-labels",
    )


def _check_label(cell: str, where: str, task: GlueTask) -> None:
    hint = "correct it, or delete the row"
    if not task.labels:
        low, high = _SCORES
        # What is compared with a number, and so NaN is refused, too.
        if not cells.NUMBER.fullmatch(cell) or not low <= float(cell) <= high:
            what = f"{shown(cell)} is no score of {task.name}, which are from {low:g} to {high:g}"
            raise DataError(what, where=where, hint=hint, code="data.label-unknown")
        return
    known = task.labels if task.words else tuple(str(i) for i in range(len(task.labels)))
    if cell not in known:
        raise DataError(
            f"unknown label {shown(cell)}; those of {task.name} are {quoted(known)}",
            where=where,
            hint=did_you_mean(cell, known) or hint,
            code="data.label-unknown",
        )
