"""Where the parts of a data set are: one file, a folder of files, or the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgeroberta.data import answer_tables, columns, glue, labels, readers, text_pairs, word_tables
from edgeroberta.data import hub as hub_data
from edgeroberta.data.label_format import Format
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec
from edgeroberta.errors import DataError
from edgeroberta.storage import paths

#: The file of words in a folder of aligned files.
ALIGNED = "seq.in"

#: What SQuAD and CMRC 2018 add to the names of their files.
_OF_PART = re.compile(r"^cmrc2018_|-v\d+(\.\d+)*$")

Opener = Callable[[], DataTable]

#: Names that files and Hub splits go by, for each part.
STEMS = {
    "train": ("train",),
    # MNLI has two of each on the Hub; those of the same sources as its training rows are the usual ones.
    "validation": ("validation", "valid", "val", "dev", "validation_matched"),
    "test": ("test", "test_matched"),
}


@dataclass(frozen=True)
class PartReaders:
    """How to read each part; None where the data does not bring it along."""

    train: Opener | None  # the training rows
    validation: Opener | None  # the rows that checkpoints are chosen by
    heldout: Opener | None  # the rows of the gate
    unused: tuple[str, ...] = ()  # of each part that is there and not used, a sentence for people
    layout: tuple[str, ...] = ()  # what the files were taken for, where their layout says it


def open_parts(spec: DataSpec, *, labelled: bool = True, apart: bool = False) -> PartReaders:
    """Find the parts of a data set; they are read when called.

    Test rows become the held-out rows if they have labels, or need none: ``apart``, of pairs that may be
    queries and passages. Otherwise (GLUE keeps its test labels to itself) the validation rows do, and
    checkpoints are chosen on a part of the training rows. ``labelled``: False where rows need no labels.
    Raises DataError: there is no such file, folder or data set; UnavailableError: the data is on the Hub and
    ``datasets`` is not installed.
    """
    known = None if _named(spec) else glue.find(paths.named(spec.data), spec.data)
    numbers = _numbers(spec, labelled=labelled)
    found = _find(spec.data, numbers, tagged=spec.asked is Format.TAGS) if known is None else known.parts
    train, validation, test = (found.get(part) for part in STEMS)
    unused = {part: "" for part in found if part not in STEMS}
    if spec.eval_data is not None:
        heldout = open_evaluation(spec, labelled=labelled)
        if test is not None:
            unused["test"] = f", {spec.eval_data} is measured on"
    elif test is not None and (not labelled or _counts(test(), spec, apart=apart)):
        heldout = test
    else:
        validation, heldout = None, validation
        if test is not None:
            unused["test"] = ", they have no labels"
    said = tuple(f"{spec.data}: the {part} rows are not used{why}" for part, why in unused.items())
    return PartReaders(train, validation, heldout, said, () if known is None else known.told)


def open_evaluation(spec: DataSpec, *, labelled: bool = True) -> Opener | None:
    """Return how to read ``spec.eval_data``, whether or not the training rows are still there."""
    if spec.eval_data is None:
        return None
    path = paths.named(spec.eval_data)
    known = None if _named(spec) else glue.evaluation(path, spec.eval_data)
    numbers = _numbers(spec, labelled=labelled)
    return known or _file(path, spec.eval_data, numbers, tagged=spec.asked is Format.TAGS)


def here(name: str) -> bool:
    """Tell whether data is a file or a folder that exists."""
    return paths.named(name).exists()


def _named(spec: DataSpec) -> bool:
    """Tell whether the user names columns, which then hold whatever the files are taken for."""
    return any(name is not None for name in (spec.text, spec.text_pair, spec.label))


def _numbers(spec: DataSpec, *, labelled: bool) -> tuple[int, ...]:
    numbers = columns.numbers((spec.text, spec.text_pair, spec.label))
    unlabelled = spec.label is None and spec.text_pair is None
    if numbers and ((labelled and unlabelled) or spec.text is None):
        raise DataError(
            "a file without a header needs the numbers of both text and label",
            where=spec.data,
            hint="--text '#1' --label '#2'",
        )
    return numbers


def _find(name: str, numbers: tuple[int, ...], *, tagged: bool) -> Mapping[str, Opener]:
    path = paths.named(name)
    if path.is_dir() and not _aligned(path):
        return _folder(path, name, numbers, tagged=tagged)
    if not path.exists() and hub_data.is_id(name):
        tables = hub_data.load(name)
        stems = {stem: part for part, names in STEMS.items() for stem in names}
        return {stems.get(split, split): partial(_same, table) for split, table in tables.items()}
    return {"train": _file(path, name, numbers, tagged=tagged)}


def _same(table: DataTable) -> DataTable:
    return table


def _file(path: Path, name: str, numbers: tuple[int, ...], *, tagged: bool) -> Opener:
    """Return how to read a file, or the aligned files of a folder."""
    if aligned := _aligned(path):
        path, name = aligned, f"{name.rstrip('/')}/{aligned.name}"
    return partial(readers.read, path, source=name, numbers=numbers, tagged=tagged)


def _aligned(folder: Path) -> Path | None:
    """Return the file of words in a folder of two aligned files, as SNIPS' folders are; None for others."""
    found = folder / ALIGNED
    return found if found.is_file() else None


def _folder(path: Path, name: str, numbers: tuple[int, ...], *, tagged: bool) -> Mapping[str, Opener]:
    found: dict[str, Opener] = {}
    for part, stems in STEMS.items():
        files = [
            file
            for file in sorted(path.iterdir())
            if _part(file) in stems and (file.suffix.lower() in readers.READERS or _aligned(file) is not None)
        ]
        if len(files) > 1:
            what = f"both {files[0].name} and {files[1].name} could be the {part} rows"
            raise DataError(what, where=name, hint="move one of them away")
        if files:
            source = f"{name.rstrip('/')}/{files[0].name}"
            found[part] = _file(files[0], source, numbers, tagged=tagged)
    if not found:
        what = "no train, validation or test file in this folder"
        hint = "name the files train.csv, validation.csv and test.csv"
        if tasks := glue.inside(path):
            hint = f"it holds tasks of GLUE, {columns.quoted(tasks)}: name one, {name.rstrip('/')}/{tasks[0]}"
        raise DataError(what, where=name, hint=hint)
    return found


def _counts(table: DataTable, spec: DataSpec, *, apart: bool) -> bool:
    """Tell whether rows can be measured on: they have labels, or are pairs that need none."""
    if apart and spec.label is None and not any(name in table.columns for name in text_pairs.SCORES):
        return True
    return _is_labelled(table, spec)


def _part(file: Path) -> str:
    """Return the name of the part that a file holds: ``train-v1.1`` and ``cmrc2018_train`` are ``train``."""
    return _OF_PART.sub("", file.stem.lower())


def _is_labelled(table: DataTable, spec: DataSpec) -> bool:
    answers = answer_tables.find(table, spec, asked=True)
    if answers is not None:
        return answer_tables.labelled(table, answers)
    words = word_tables.find(table, spec.text, spec.label)
    if words is not None:
        return any(cell for cell in table.columns[words.tags])
    names = (spec.label,) if spec.label is not None else columns.LABELS
    label = next((name for name in names if name in table.columns), None)
    if label is None and spec.label is not None:
        one_hot = columns.each_label(table, spec.label)
        named = bool(one_hot) and set(one_hot) <= set(table.columns)
        return named and not all(labels.all_unknown(table.columns[name]) for name in one_hot)
    return label is not None and not labels.all_unknown(table.columns[label])
