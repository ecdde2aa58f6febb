"""The user's rows: read from files or the Hub, checked, and split for training and the gate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeroberta.data import (
    answer_rows,
    answer_tables,
    columns,
    labels,
    mask_words,
    slice_columns,
    sources,
    splitting,
    streams,
    text_pairs,
    texts,
    word_labels,
    word_rows,
    word_tables,
)
from edgeroberta.data.label_format import Format, LabelFormat
from edgeroberta.data.masking import MaskReader, WrittenMasks
from edgeroberta.data.readers import DataTable
from edgeroberta.data.rows import DataSpec, FreshRows, Rows, Splits, Texts, is_searched
from edgeroberta.errors import DataError, UsageError
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.outputs import AnswerSpans, WordTags
from edgeroberta.tasks.schemes import tag_table
from edgeroberta.tasks.spans import SIDES

__all__ = [
    "DataSpec",
    "FreshRows",
    "MaskReader",
    "Rows",
    "Splits",
    "Texts",
    "infer_task",
    "load_heldout",
    "load_splits",
    "tells_labels",
    "tells_pairs",
]

logger = logging.getLogger(__name__)


def infer_task(spec: DataSpec) -> Task:
    """Tell the task from the training rows, for a model that has no head yet; label names are sorted."""
    return _infer(_training_table(spec, sources.open_parts(spec)), spec)


def tells_labels(spec: DataSpec) -> bool:
    """Tell whether the training rows have labels, tags or answers, by their columns; they are not read."""
    table = _training_table(spec, sources.open_parts(spec, labelled=False))
    words = word_tables.find(table, spec.text, spec.label)
    usual = any(name in table.columns for name in columns.LABELS)
    named = spec.label is not None or words is not None or usual
    return not table.plain and (named or answer_tables.find(table, spec) is not None)


def tells_pairs(spec: DataSpec) -> bool:
    """Tell whether the training rows are two texts each and no questions with answers, by their columns."""
    table = _training_table(spec, sources.open_parts(spec, labelled=False))
    usual = any(set(pair) <= set(table.columns) for pair in text_pairs.PAIRS)
    return (spec.text_pair is not None or usual) and answer_tables.find(table, spec) is None


def load_splits(
    spec: DataSpec,
    *,
    task: Task | None,
    tell: Callable[[str], None] | None = None,
    masks: MaskReader | None = None,
    fresh: FreshRows | None = None,
    judges: Callable[[Sequence[Rows]], None] | None = None,
) -> Splits:
    """Read, check and split the user's rows.

    Parts that the data brings along (a folder's or a Hub data set's validation and test rows, or
    ``spec.eval_data``) are used as they are; missing ones are drawn from the training rows, seeded and in the
    proportions of the labels. A training text that is also a held-out text is left out. ``task``: what the
    labels must be, or None to infer it (:func:`infer_task`). ``tell``: called with a line for people on each
    choice that they did not make: columns that were found by their names, and parts that are not used.
    ``masks``: the model's tokenizer, of a task of masked words: its training rows are plain texts, the others
    have masks. ``fresh``: which rows are for the thresholds of a cascade; None where there is none. The other
    parts are drawn before them, as without. ``judges``: called with the rows that no model may learn from, as
    they are read: before words of theirs are masked. Raises DataError: the data cannot be read, used or
    split; ``where`` has the file and line; UnavailableError: a package to read the data with is missing.
    """
    parts = sources.open_parts(spec, labelled=masks is None, apart=_apart(task))
    table = _training_table(spec, parts)
    task = task or _infer(table, spec)
    say = tell or logger.info
    if parts.heldout is None:
        slice_columns.checked(table, spec.slice_columns)
    for line in (*(parts.layout or _guessed(table, spec, task)), *parts.unused, *table.notes):
        say(line)
    given = _read(table, spec, task, masks)
    for line in given.said:
        say(line)
    spec = replace(spec, kept=given.reading)
    train, leaked = _limit(given.rows, spec, task), 0
    if parts.heldout is not None:
        table = slice_columns.checked(parts.heldout(), spec.slice_columns)
        heldout = _like(train, _limit(_rows(table, spec, task, say, say, masks), spec, task))
        leaked = _shared(heldout, given.rows)
        train = _without(train, heldout)
    else:
        count = max(1, round(len(set(_units(train))) * spec.eval_fraction))
        train, heldout = _split(train, task, count, purpose="heldout", seed=spec.seed)
    if parts.validation is not None:
        validation = _like(train, _limit(_rows(parts.validation(), spec, task, say, say, masks), spec, task))
        validation = _without(validation, heldout)
        train = _without(train, validation)
    else:
        several = len(train) if isinstance(train.labels, AnswerSpans) else None
        count = splitting.validation_count(len(set(_units(train))), several)
        train, validation = _split(train, task, count, purpose="validation", seed=spec.seed)
    train, aside = _for_thresholds(spec, task, fresh, train, (validation, heldout))
    taken = (heldout, validation, *([aside] if aside else []))
    if judges is not None:
        judges(taken)
    unlabelled = None
    if spec.unlabelled is not None:
        unlabelled = streams.load(spec, pair=train.pairs is not None, without=taken, apart=train.apart)
    if masks is not None:
        train = masks.plain(train)
        validation, heldout = (masks.masked(each, seed=spec.seed, tell=say) for each in (validation, heldout))
        aside = masks.masked(aside, seed=spec.seed, tell=say) if aside else None
    return Splits(train, validation, heldout, unlabelled, task.labels, leaked, given.reading, aside)


def load_heldout(spec: DataSpec, task: Task, *, masks: MaskReader | None = None) -> Rows:
    """Read the rows the gate is measured on, the same ones as in :func:`load_splits`."""
    labelled = masks is None
    heldout = (
        sources.open_evaluation(spec, labelled=labelled)
        or sources.open_parts(spec, labelled=labelled, apart=_apart(task)).heldout
    )
    if heldout is None:
        return load_splits(spec, task=task, masks=masks).heldout
    table = slice_columns.checked(heldout(), spec.slice_columns)
    if masks is not None:
        rows = _limit(_rows(table, spec, task, logger.warning, masks=masks), spec, task)
        return masks.masked(rows, seed=spec.seed, tell=logger.warning)
    return _limit(_rows(table, _settled(spec, task), task, logger.warning), spec, task)


def _apart(task: Task | None) -> bool:
    """Tell whether the texts of pairs are read one by one."""
    return task is not None and task.problem is Problem.EMBEDDING


def _settled(spec: DataSpec, task: Task) -> DataSpec:
    """Decide how labels are read by the training rows, as :func:`load_splits` does, where they are here."""
    if spec.kept is not None or spec.asked is not None or not sources.here(spec.data):
        return spec
    try:
        parts = sources.open_parts(spec, apart=_apart(task))
        return spec if parts.train is None else replace(spec, kept=_read(parts.train(), spec, task).reading)
    except DataError as error:  # they are not needed here: the rows of the gate may say it themselves
        logger.warning(
            "labels are read by the held-out rows alone, since the training rows cannot be read (%s%s)",
            f"{error.where}: " if error.where else "",
            error.what,
        )
        return spec


def _training_table(spec: DataSpec, parts: sources.PartReaders) -> DataTable:
    if parts.train is None:
        raise DataError("there are no training rows", where=spec.data, hint="add a file train.csv")
    return parts.train()


def _infer(table: DataTable, spec: DataSpec) -> Task:
    if spec.asked is None and answer_tables.find(table, spec) is not None:
        return Task(Problem.SPANS, SIDES, pair=True)
    words = word_tables.find(table, spec.text, spec.label)
    if words is not None and (spec.asked is Format.TAGS or not word_tables.may_be_labels(table, words, spec)):
        found = word_rows.read(word_tables.parsed(table, words), words)
        aggregation = "simple" if found.tags is None else "first"
        return Task(Problem.TOKENS, word_labels.infer(table, found, spec.asked), aggregation=aggregation)
    if spec.asked is Format.TAGS:
        raise word_tables.missing(table, spec)
    chosen, table, asked = _labelled(table, spec)
    problem, names = labels.infer(table, str(chosen.label), asked)
    if len(names) == 1 and problem is not Problem.REGRESSION:
        raise _one_label(table, repr(names[0]))
    return Task(problem, names, pair=chosen.pair is not None)


def _guessed(table: DataTable, spec: DataSpec, task: Task) -> tuple[str, ...]:
    """Say which columns were found by their names, where the user has not named them."""
    named = spec.text is not None and spec.label is not None
    if table.tagged or table.paths is not None or named:
        return ()
    if task.problem is Problem.MASKED:
        if table.plain:
            return ()
        return (f"{table.source}: text {mask_words.column(table, spec)!r}; --text chooses another column",)
    if task.problem is Problem.SPANS:
        answers = answer_tables.find(table, spec, asked=True)
        other = "--text, --text-pair and --label choose other columns"
        return () if answers is None else (f"{table.source}: {answers}; {other}",)
    if task.problem is Problem.TOKENS:
        words = word_tables.find(table, spec.text, spec.label)
        return () if words is None else (f"{table.source}: {words}; --text and --label choose other columns",)
    if task.problem is Problem.EMBEDDING:
        pairs = text_pairs.choose(table, spec)
        return (f"{table.source}: {pairs}; --text, --text-pair and --label choose other columns",)
    chosen = columns.choose(table, spec.text, spec.text_pair, spec.label, labelled=True)
    return (f"{table.source}: {chosen}; --text, --text-pair and --label choose other columns",)


def _labelled(table: DataTable, spec: DataSpec) -> tuple[columns.ColumnNames, DataTable, Format | None]:
    """Choose the columns; join those of zeros and ones, which are read as such whatever was asked for."""
    chosen = columns.choose(table, spec.text, spec.text_pair, spec.label, labelled=True)
    if chosen.one_hot:
        return chosen, columns.joined(table, chosen), Format.MULTI_HOT
    return chosen, table, spec.asked


@dataclass(frozen=True)
class _LabelledTable:
    """A table's rows, how their labels were read, and what is to be said of that."""

    rows: Rows
    reading: LabelFormat | None
    said: tuple[str, ...]


def _read(table: DataTable, spec: DataSpec, task: Task, masks: MaskReader | None = None) -> _LabelledTable:
    """Check a table's cells against the task and make them rows, with the columns that slices go by."""
    found = _read_task(table, spec, task, masks)
    return replace(found, rows=slice_columns.kept(found.rows, table, spec.slice_columns))


def _read_task(table: DataTable, spec: DataSpec, task: Task, masks: MaskReader | None) -> _LabelledTable:
    if task.problem is Problem.MASKED:
        return _read_masks(table, spec, masks)
    if task.problem is Problem.TOKENS:
        return _read_words(table, spec, task)
    if task.problem is Problem.EMBEDDING:
        return _LabelledTable(*text_pairs.read(table, spec))
    if task.problem is Problem.SPANS:
        rows, said = answer_rows.read(table, spec)
        return _LabelledTable(rows, None, said)
    if table.paths is not None:
        raise answer_tables.not_of_labels(table)
    if table.tagged:
        raise word_tables.not_of_words(table)
    chosen, table, asked = _labelled(table, spec)
    if task.pair and chosen.pair is None:
        raise DataError(
            "the model takes pairs of texts and there is no second text column",
            where=table.source,
            hint="name it: --text-pair COLUMN",
        )
    if chosen.one_hot and task.problem is not Problem.REGRESSION:
        _check_one_each(table, chosen, task)
    firsts = texts.checked(table, chosen.text)
    pairs = None if chosen.pair is None else texts.checked(table, chosen.pair)
    encoded = labels.encode(table, str(chosen.label), task, asked=asked, kept=spec.kept)
    if (encoded.labels == encoded.labels[0]).all():
        raise _one_label(table, labels.describe(encoded.labels[0], task))
    rows = Rows(firsts, pairs, encoded.labels, table.source)
    said = (encoded.said,) if encoded.said and not chosen.one_hot else ()
    return _LabelledTable(rows, encoded.reading, said)


def _read_words(table: DataTable, spec: DataSpec, task: Task) -> _LabelledTable:
    words = word_tables.find(table, spec.text, spec.label)
    if spec.text_pair is not None:
        raise word_tables.no_pairs(table)
    if words is None:
        raise word_tables.missing(table, spec)
    found = word_rows.read(word_tables.parsed(table, words), words)
    encoded = word_labels.encode(table, found, task, asked=spec.asked, kept=spec.kept)
    return _LabelledTable(
        Rows(found.texts, None, encoded.labels, table.source), encoded.reading, encoded.said
    )


def _read_masks(table: DataTable, spec: DataSpec, masks: MaskReader | None) -> _LabelledTable:
    """Read plain texts, and masks that are written in them with their words."""
    if masks is None:
        raise ValueError("masks are read with the tokenizer of a model")
    if spec.asked is not None:
        raise UsageError(
            f"{spec.asked} are asked for, and masks stand for words",
            where="--label-format",
            hint="leave it out",
        )
    found, written = mask_words.read(table, spec, masks.tokenizer, masks.token, masks.numbers)
    return _LabelledTable(Rows(found, None, WrittenMasks(written), table.source), None, ())


def _check_one_each(table: DataTable, chosen: columns.ColumnNames, task: Task) -> None:
    if len(chosen.one_hot) != task.num_outputs:
        raise DataError(
            f"{len(chosen.one_hot)} columns of labels, but the model has {task.num_outputs} labels: "
            f"{columns.quoted(task.labels)}",
            where=table.source,
            hint=f"name one column for each label: --label {','.join(task.labels)}",
        )


def _rows(
    table: DataTable,
    spec: DataSpec,
    task: Task,
    say: Callable[[str], None],
    count: Callable[[str], None] = logger.info,
    masks: MaskReader | None = None,
) -> Rows:
    """Make a table rows; ``count`` gets what is said of words and tags."""
    for note in table.notes:
        say(note)
    found = _read(table, spec, task, masks)
    for line in found.said if isinstance(found.rows.labels, WordTags | AnswerSpans) else ():
        count(line)
    return found.rows


def _like(train: Rows, rows: Rows) -> Rows:
    """Refuse pairs beside single texts, which would be measured as another task than was trained."""
    if train.apart:
        return text_pairs.same_kind(train, rows)
    if (rows.pairs is None) == (train.pairs is None):
        return rows
    kinds = ("single texts", "pairs of texts")
    raise DataError(
        f"{kinds[rows.pairs is not None]}, but the training rows of {train.source} are "
        f"{kinds[train.pairs is not None]}",
        where=rows.source,
        hint="name the columns, the same in every file: --text COLUMN, and --text-pair COLUMN for pairs",
    )


def _one_label(table: DataTable, named: str) -> DataError:
    return DataError(
        f"every row has the same label, {named}",
        where=table.source,
        hint="rows of at least two labels are needed to train and to measure",
    )


def _chosen(
    rows: Rows, keys: Sequence[str], task: Task, count: int, *, purpose: str, seed: int
) -> npt.NDArray[np.bool_]:
    """Choose about ``count`` rows by their labels: of words, by the rarest type in each sentence."""
    if isinstance(rows.labels, WordTags):
        strata = splitting.rarest(rows.labels, tag_table(task.labels))
        return splitting.hold_out(keys, strata, count, purpose=purpose, seed=seed, each=True)
    labels = rows.labels if task.problem is Problem.SINGLE_LABEL else None
    return splitting.hold_out(keys, labels, count, purpose=purpose, seed=seed)


def _units(rows: Rows) -> Sequence[str]:
    """Return what of each row is in one part of the data only."""
    if isinstance(rows.labels, AnswerSpans):
        return answer_rows.documents(rows.labels)
    return texts.keys(rows)


def _limit(rows: Rows, spec: DataSpec, task: Task) -> Rows:
    if spec.limit is None or len(rows) <= spec.limit:
        return rows
    keys = [str(i) for i in range(len(rows))]
    mask = _chosen(rows, keys, task, spec.limit, purpose="sample", seed=spec.seed)
    return rows.select(np.flatnonzero(mask))


def _split(rows: Rows, task: Task, count: int, *, purpose: str, seed: int) -> tuple[Rows, Rows]:
    """Set about ``count`` distinct texts aside; return what stays and what was set aside."""
    if rows.apart:
        return _split_pairs(rows, count, purpose=purpose, seed=seed)
    mask = _chosen(rows, _units(rows), task, count, purpose=purpose, seed=seed)
    if not mask.any():
        labelled = task.problem not in (Problem.SPANS, Problem.MASKED)
        raise _too_few(rows, "every label needs a text to train on, and " if labelled else "")
    return rows.select(np.flatnonzero(~mask)), rows.select(np.flatnonzero(mask))


def _for_thresholds(
    spec: DataSpec, task: Task, fresh: FreshRows | None, train: Rows, taken: tuple[Rows, ...]
) -> tuple[Rows, Rows | None]:
    """Return what stays of the training rows, and the rows for the thresholds of a cascade, if it has any."""
    if fresh is None:
        return train, None
    if fresh.texts is None:
        return _set_aside(train, task, fresh.count, seed=spec.seed)
    given = _given(spec, fresh.texts, (train, *taken))
    fresh.count(len(set(_units(given))))  # which refuses too few
    return train, given


def _given(spec: DataSpec, file: str, taken: tuple[Rows, ...]) -> Rows:
    """Read the texts for the thresholds of a cascade, without labels; leave those out that others have."""
    found = streams.load(
        replace(spec, unlabelled=file),
        pair=taken[0].pairs is not None,
        without=taken,
        apart=taken[0].apart,
    )
    parts = list(found.chunks())
    firsts = tuple(text for part in parts for text in part.texts)
    seconds = tuple(text for part in parts for text in part.pairs or ()) if found.pair else None
    return Rows(firsts, seconds, None, found.source, found.apart)


def _set_aside(rows: Rows, task: Task, count: Callable[[int], int], *, seed: int) -> tuple[Rows, Rows]:
    """Set rows for thresholds aside, whole documents of questions; return what stays and what was set aside.

    ``count``: how many of so many different texts, or questions.
    """
    units = len(set(_units(rows)))
    several = len(rows) if isinstance(rows.labels, AnswerSpans) else units
    wanted = max(1, round(count(several) * units / several))
    return _split(rows, task, wanted, purpose="fresh", seed=seed)


def _split_pairs(rows: Rows, count: int, *, purpose: str, seed: int) -> tuple[Rows, Rows]:
    """Set about ``count`` pairs aside of which no text is in a pair that stays.

    Where nearly all pairs hang together, as they do where few passages answer many queries, queries are set
    aside whose passages stay; or pairs, and those that share a text with one of them are left out.
    """
    mask = splitting.hold_out_groups(texts.connected(rows), count, purpose=purpose, seed=seed)
    if mask is not None and mask.any():
        return rows.select(np.flatnonzero(~mask)), rows.select(np.flatnonzero(mask))
    keys = ["\0".join(each) for each in texts.each_key(rows)]
    mask = splitting.hold_out(keys, None, count, purpose=purpose, seed=seed)
    if not mask.any():
        raise _too_few(rows)
    aside = rows.select(np.flatnonzero(mask))
    if is_searched(rows.labels):
        logger.warning("%s: the passages of queries to measure on are also among the others", rows.source)
    return _without(rows.select(np.flatnonzero(~mask)), aside), aside


def _too_few(rows: Rows, why: str = "") -> DataError:
    return DataError(
        f"{len(rows)} rows are too few to split: {why}some must remain to validate and to measure on",
        where=rows.source,
        hint="give more rows",
    )


def _shared(rows: Rows, others: Rows) -> int:
    """Count the rows whose text, or context, is also in ``others``."""
    known = {key for each in texts.each_key(others) for key in each}
    return sum(not known.isdisjoint(each) for each in texts.each_key(rows))


def _without(rows: Rows, others: Rows) -> Rows:
    """Leave out the rows whose text, or context, is also in ``others``."""
    taken = {key for each in texts.each_key(others) for key in each}
    kept = [i for i, each in enumerate(texts.each_key(rows)) if taken.isdisjoint(each)]
    if not kept:
        raise DataError(f"every text is also in {others.source}, which it must not share", where=rows.source)
    if len(kept) < len(rows):
        logger.warning("%s: %d rows left out, also in %s", rows.source, len(rows) - len(kept), others.source)
        return rows.select(kept)
    return rows
