"""Tags of words, turned into the label ids of a token task; and the labels of a task from tags alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgeroberta.data import cells, tag_schemes, word_rows
from edgeroberta.data.columns import quoted
from edgeroberta.data.label_format import Format, LabelFormat
from edgeroberta.data.readers import DataTable
from edgeroberta.data.tag_schemes import Scheme, TagSurvey
from edgeroberta.data.word_rows import TaggedTexts
from edgeroberta.errors import DataError, UsageError, did_you_mean, shown
from edgeroberta.tasks import Task
from edgeroberta.tasks.outputs import WordTags

_SCHEMES = "tags are those of IO, IOB1, IOB2 or BIOES: O, B-PER, I-PER, E-PER, S-PER"


@dataclass(frozen=True, eq=False)
class EncodedTags:
    """The tags of a table as label ids."""

    labels: WordTags
    reading: LabelFormat  # how the tags were read
    said: tuple[str, ...]  # sentences for people: what was found, and what was changed


def infer(table: DataTable, found: TaggedTexts, asked: Format | None = None) -> tuple[str, ...]:
    """Tell the labels of a task by the tags of its training rows.

    O comes first, then the types in alphabetical order, each with all its tags: B- and I-, of BIOES also E-
    and S-, whether all of them occur or not.
    """
    _check_asked(asked)
    if not found.tags:
        types = {each.type for row in found.entities for each in row}
        if not types:
            raise _no_entity(table)
        return _labels(types, Scheme.IOB2)
    tags = _Tags(table, found, None, None)
    if tags.numbers and tags.names is None:
        raise DataError(
            "tags are numbers, and nothing says which tags they are",
            where=table.where(0),
            hint="write the tags by name; or give a Parquet file or Hub data set with class names",
            code="data.tags",
        )
    scheme = tags.survey.scheme
    if scheme is None:
        raise _no_entity(table)
    occurring = {tag for row in tags.rows for tag in row}
    if tags.names is not None:
        return tags.names if occurring <= set(tags.names) else _sorted(occurring)
    types = {tag_schemes.split(tag)[1] for tag in occurring if tag != tag_schemes.OUTSIDE}
    return _labels(types, scheme)


def encode(
    table: DataTable,
    found: TaggedTexts,
    task: Task,
    *,
    asked: Format | None = None,
    kept: LabelFormat | None = None,
) -> EncodedTags:
    """Turn tags into ids of the task's labels.

    Tags of another scheme than the labels' are written anew in theirs. ``asked``: names or ids for tags that
    are the labels as they are. ``kept``: how the training rows were read. Raises DataError: a tag is none of
    the labels, or there is no entity.
    """
    _check_asked(asked)
    _check_labels(table, task)
    told = []
    if found.tags:
        tags = _Tags(table, found, task, kept, asked)
        survey, rows = tags.survey, tags.rows
        scheme = survey.scheme if kept is None or kept.scheme is None else Scheme(kept.scheme)
        told += _strays(table, survey)
        reading = LabelFormat(Format.IDS if tags.numbers else Format.NAMES, tags.names, scheme)
        ours = tag_schemes.of_labels(task.labels)
        if scheme is not None and asked not in (Format.NAMES, Format.IDS) and not ours.holds(scheme):
            rows, said = _converted(table, rows, scheme, ours)
            told += said
    else:
        ours = tag_schemes.of_labels(task.labels)
        counts = map(len, found.places)
        rows = [tag_schemes.tags_of(each, n, ours) for each, n in zip(found.entities, counts, strict=True)]
        survey = TagSurvey(None, sum(map(len, found.entities)), ())
        reading = LabelFormat(Format.NAMES)
    ids = {label: number for number, label in enumerate(task.labels)}
    for row, given in enumerate(rows):
        for word, tag in enumerate(given):
            if tag not in ids:
                raise _unknown(table, found, task, rows, row, word)
    if not survey.entities:
        raise _no_entity(table)
    labels = word_rows.word_tags(found, [np.array([ids[tag] for tag in row], np.int64) for row in rows])
    if len(np.unique(labels.values)) == 1:
        raise DataError(
            f"every word has the same tag, {task.labels[int(labels.values[0])]!r}",
            where=table.source,
            hint="words outside of entities are tagged O",
            code="data.tags",
        )
    if kept is None:
        told += _absent(table, labels, task)
    return EncodedTags(labels, reading, (_counted(table, found, survey, reading), *told))


class _Tags:
    """The tags of a table as texts, by their own names."""

    def __init__(
        self,
        table: DataTable,
        found: TaggedTexts,
        task: Task | None,
        kept: LabelFormat | None,
        asked: Format | None = None,
    ) -> None:
        self.table = table
        written = [[cells.text(tag) for tag in row] for row in found.tags]
        for row, tags in enumerate(written):
            for word, tag in enumerate(tags):
                if not tag or isinstance(found.tags[row][word], list | tuple | dict):
                    raise _bad(table, row, word, f"{shown(found.tags[row][word])} is no tag")
        parts = {tag for row in written for tag in row}
        known = set() if task is None else set(task.labels)
        whole = all(map(cells.WHOLE.fullmatch, parts))
        self.numbers = asked is Format.IDS or (whole and asked is not Format.NAMES and not parts <= known)
        self.names = found.names or (kept.names if kept else None)
        self.rows = self._named(written, task) if self.numbers else written
        parts = {tag for row in self.rows for tag in row}
        if not parts <= known:
            self._check_scheme({tag for tag in parts if tag not in known})
            changed = tag_schemes.bioes_of(parts)
            self.rows = (
                [[changed.get(tag, tag) for tag in row] for row in self.rows] if changed else self.rows
            )
        self.survey = tag_schemes.survey(self.rows)

    def _named(self, written: Sequence[Sequence[str]], task: Task | None) -> list[list[str]]:
        """Return what ids stand for."""
        names = self.names or (() if task is None else task.labels)
        if not names:
            return [list(row) for row in written]
        named: dict[str, str] = {}
        for row, tags in enumerate(written):
            for word, tag in enumerate(tags):
                if tag in named:
                    continue
                whole = cells.WHOLE.fullmatch(tag)
                if whole is None or not 0 <= int(whole[1]) < len(names):
                    hint = f"ids are 0 to {len(names) - 1}: {quoted(names)}"
                    if tag == "-100":
                        hint = "-100 marks tokens of a tokenizer: give words, with one tag each"
                    raise _bad(self.table, row, word, f"the tag {shown(tag)} is none of the ids", hint)
                named[tag] = names[int(whole[1])]
        return [[named[tag] for tag in row] for row in written]

    def _check_scheme(self, unknown: set[str]) -> None:
        """Refuse tags of which some have a prefix and others have none, or a prefix with another mark."""
        prefixed = {tag for tag in unknown if tag[1:2] == "-" and tag[0] in "BIESLUMW"}
        plain = {tag for tag in unknown if tag not in prefixed and tag != tag_schemes.OUTSIDE}
        if not plain:
            return
        if all(tag[1:2] in ("_", ":", "/") and tag[0] in "BIES" for tag in plain) and not prefixed:
            row, word = self._first(plain)
            tag = self.rows[row][word]
            hint = f"write {tag[0] + '-' + tag[2:]!r}, with a hyphen after the letter"
            raise _bad(self.table, row, word, f"the tag {tag!r} has another mark than a hyphen", hint)
        if prefixed:
            row, word = self._first(plain)
            tag = self.rows[row][word]
            what = f"the tag {shown(tag)} has no prefix, but others have one, such as {min(prefixed)!r}"
            case = next((one for one in prefixed if one.casefold() == tag.casefold()), None)
            hint = (
                f"did you mean {case!r}?" if case else f"{_SCHEMES}; words outside of entities are tagged O"
            )
            raise _bad(self.table, row, word, what, hint)

    def _first(self, tags: set[str]) -> tuple[int, int]:
        return next(
            (row, word)
            for row, given in enumerate(self.rows)
            for word, tag in enumerate(given)
            if tag in tags
        )


def _check_asked(asked: Format | None) -> None:
    if asked in (Format.MULTI_HOT, Format.VALUES):
        raise UsageError(
            f"{asked} are asked for, but the rows have a tag per word",
            where="--label-format",
            hint="one of names, ids, tags",
        )


def _check_labels(table: DataTable, task: Task) -> None:
    """Refuse a model whose labels have no names, since no tag can be told from another."""
    if task.labels == tuple(f"LABEL_{number}" for number in range(len(task.labels))):
        raise DataError(
            f"the model's labels have no names ({quoted(task.labels)}), so tags cannot be matched with them",
            where=table.source,
            hint='set id2label in its config.json: {"0": "O", "1": "B-PER", …}',
            code="data.tags",
        )


def _labels(types: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    prefixes = {Scheme.PLAIN: ("",), Scheme.IO: ("I-",), Scheme.BIOES: ("B-", "I-", "E-", "S-")}
    each = prefixes.get(scheme, ("B-", "I-"))
    return (tag_schemes.OUTSIDE, *(prefix + type_ for type_ in sorted(types) for prefix in each))


def _sorted(tags: Iterable[str]) -> tuple[str, ...]:
    """Sort tags: O first, then by type, each type's in the order B, I, E, S."""
    order = {prefix: place for place, prefix in enumerate(("", "B", "I", "E", "S"))}

    def key(tag: str) -> tuple[bool, str, int]:
        prefix, type_ = tag_schemes.split(tag)
        return tag != tag_schemes.OUTSIDE, type_, order.get(prefix, 0)

    return tuple(sorted({*tags, tag_schemes.OUTSIDE}, key=key))


def _converted(
    table: DataTable, rows: Sequence[Sequence[str]], theirs: Scheme, ours: Scheme
) -> tuple[list[list[str]], list[str]]:
    """Write tags of one scheme in another; say so, and how many entities become one with a neighbour."""
    changed, lost, first = [], 0, -1
    for row, tags in enumerate(rows):
        found = tag_schemes.entities(tags)
        written = tag_schemes.tags_of(found, len(tags), ours)
        missing = len(found) - len(tag_schemes.entities(written))
        first = row if missing and first < 0 else first
        lost += missing
        changed.append(written)
    said = [f"{table.source}: the tags are {theirs}, the model's labels {ours}: written anew as {ours}"]
    if lost:
        said.append(
            f"{table.where(first)}: {lost:,} entities become one with the neighbour of their type, which "
            f"{ours} cannot tell apart"
        )
    return changed, said


def _strays(table: DataTable, survey: TagSurvey) -> list[str]:
    """Say where entities begin or end as their scheme does not have it."""
    if not survey.strays:
        return []
    row, word = survey.strays[0]
    what = {
        Scheme.IOB2: "begin with I- and no B- before it, and count as entities all the same",
        Scheme.IOB1: "begin with B- although none of their type is before them",
        Scheme.BIOES: "do not go from B- to E-, or are one word without S-, and count all the same",
    }.get(survey.scheme or Scheme.IO, "are not of the scheme")
    share = f"{len(survey.strays):,} of {survey.entities:,} entities {what}"
    return [f"{table.where(row, word)}: tags are {survey.scheme}, but {share} (this is the first)"]


def _absent(table: DataTable, labels: WordTags, task: Task) -> list[str]:
    """Say which of the model's labels no word has."""
    there = set(np.unique(labels.values).tolist())
    absent = [label for number, label in enumerate(task.labels) if number not in there]
    return [f"{table.source}: no word has the model's {quoted(absent)}"] if absent else []


def _counted(table: DataTable, found: TaggedTexts, survey: TagSurvey, reading: LabelFormat) -> str:
    words = sum(map(len, found.places))
    how = f", tags in {reading.scheme}" if reading.scheme else ", from spans" if not found.tags else ""
    return (
        f"{table.source}: {len(found.texts):,} sentences of {words:,} words with {survey.entities:,} "
        f"entities{how}"
    )


def _unknown(
    table: DataTable, found: TaggedTexts, task: Task, rows: Sequence[Sequence[str]], row: int, word: int
) -> DataError:
    tag = rows[row][word]
    written = {each for given in rows for each in given}
    types = {tag_schemes.split(label)[1]: label for label in task.labels}
    type_ = tag_schemes.split(tag)[1]
    hint = None
    if near := {label.casefold(): label for label in task.labels}.get(tag.casefold()):
        hint = f"did you mean {near!r}?"
    elif type_ in types:
        hint = f"the model has no such tag for {type_!r}: write it with those it has, or take another model"
    elif near_type := did_you_mean(type_, [each for each in types if each]):
        hint = near_type
    if tag_schemes.OUTSIDE in task.labels and hint is None:
        hint = (
            f"tag it O if it is none of the model's entities, or train a model for {quoted(sorted(written))}"
        )
    return DataError(
        f"unknown tag {shown(tag)}; the model's labels are {quoted(task.labels)}",
        where=table.where(row, word if found.tags else None),
        hint=hint,
        code="data.label-unknown",
    )


def _no_entity(table: DataTable) -> DataError:
    return DataError(
        "no entity: every word is outside of one",
        where=table.source,
        hint="are these the columns of words and tags? --text COLUMN --label COLUMN",
        code="data.tags",
    )


def _bad(table: DataTable, row: int, word: int, what: str, hint: str | None = None) -> DataError:
    return DataError(
        f"{what} (word {word + 1})", where=table.where(row, word), hint=hint or _SCHEMES, code="data.tags"
    )
