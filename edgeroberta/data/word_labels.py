"""Tags of words, turned into the label ids of a token task; and the labels of a task from tags alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgeroberta.data import cells, tag_errors, tag_schemes
from edgeroberta.data.columns import quoted
from edgeroberta.data.label_format import Format, LabelFormat
from edgeroberta.data.readers import DataTable
from edgeroberta.data.tag_schemes import Entities, Tagging
from edgeroberta.data.word_rows import TaggedTexts
from edgeroberta.tasks import Task
from edgeroberta.tasks.outputs import Indices, WordTags
from edgeroberta.tasks.schemes import INSIDE, OUTSIDE_LABEL, Scheme, scheme_of_labels

#: Prefixes of each scheme; BILOU has others for the last two of BIOES.
_PREFIXES = {Scheme.IOB1: "BI", Scheme.IOB2: "BI", Scheme.BIOES: "BIES"}
_BILOU = str.maketrans("ES", "LU")


@dataclass(frozen=True, eq=False)
class EncodedTags:
    """The tags of a table as label ids."""

    labels: WordTags
    reading: LabelFormat  # how the tags were read
    said: tuple[str, ...]  # sentences for people: what was found, and what was changed


@dataclass(frozen=True, eq=False)
class _Ids:
    """Label ids of all words, -1 where there is none, and the entities that they were made of."""

    ids: Indices
    written: list[str]  # the tag of each word, for errors
    entities: int
    said: tuple[str, ...]


def infer(table: DataTable, found: TaggedTexts, asked: Format | None = None) -> tuple[str, ...]:
    """Tell the labels of a task by the tags of its training rows.

    O comes first, then the types in alphabetical order, each with all its tags: ``B-`` and ``I-``, of BIOES
    also ``E-`` and ``S-``, whether all of them occur or not.
    """
    tag_errors.check_asked(asked)
    if found.tags is None:
        types = set(found.entities.types if found.entities else ())
        if not types:
            raise tag_errors.no_entity(table)
        return (OUTSIDE_LABEL, *(f"{prefix}-{each}" for each in sorted(types) for prefix in "BI"))
    tags, numbers = _texts(table, found, (), asked, found.names)
    if numbers and found.names is None:
        raise tag_errors.ids_without_names(table)
    tagging = Tagging(tags, found.offsets)
    if found.names is not None and set(tagging.names) <= set(found.names):
        return found.names
    if tagging.scheme is None:
        raise tag_errors.no_entity(table)
    tag_errors.check_prefixes(table, found, tags, tagging)
    return (OUTSIDE_LABEL, *_labels(tagging))


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
    tag_errors.check_asked(asked)
    tag_errors.check_labels(table, task.labels)
    names = found.names or (kept.names if kept else None)
    form, told = Format.NAMES, list[str]()
    if found.tags is None:
        made = _of_entities(found.entities or _nothing(), len(found.places), task)
        how = "from spans"
    else:
        tags, numbers = _texts(table, found, task.labels, asked, names)
        tagging = Tagging(tags, found.offsets, task.labels)
        made = _of_tags(table, found, tags, tagging, task, literal=asked in (Format.NAMES, Format.IDS))
        form = Format.IDS if numbers else form
        if numbers and names is None:
            meant = [f"{number} is {label!r}" for number, label in enumerate(task.labels[:6])]
            more = ", …" if task.num_outputs > len(meant) else ""
            told.append(f"{table.source}: tags are read as the model's ids: {', '.join(meant)}{more}")
        how = f"tags in {tagging.scheme}"
    if len(unknown := np.flatnonzero(made.ids < 0)):
        raise tag_errors.unknown(table, found, int(unknown[0]), made.written, task.labels)
    if not made.entities:
        raise tag_errors.no_entity(table)
    if len(there := np.unique(made.ids)) == 1:
        raise tag_errors.one_tag(table, task.labels[int(there[0])])
    counts = (len(found.texts), "sentences", len(made.ids), "words", made.entities, "entities")
    said = [
        f"{table.source}: {{:,}} {{}} of {{:,}} {{}} with {{:,}} {{}}, {how}".format(*counts),
        *made.said,
        *told,
    ]
    if kept is None and len(absent := set(range(task.num_outputs)) - set(there.tolist())):
        missing = quoted(task.labels[number] for number in sorted(absent))
        said.append(f"{table.source}: no word has the model's {missing}")
    return EncodedTags(found.labelled(made.ids), LabelFormat(form, names), tuple(said))


def _texts(
    table: DataTable,
    found: TaggedTexts,
    labels: Iterable[str],
    asked: Format | None,
    names: tuple[str, ...] | None,
) -> tuple[list[str], bool]:
    """Return the tag of each word by its name, and whether they are written as ids."""
    written = found.tags or []
    for number, tag in enumerate(written):
        if isinstance(tag, list | tuple | dict) or not cells.text(tag):
            raise tag_errors.no_tag(table, found, number, tag)
    tags = [cells.text(tag) for tag in written]
    distinct, known = dict.fromkeys(tags), set(labels)
    whole = all(map(cells.WHOLE.fullmatch, distinct)) and not distinct.keys() <= known
    if asked is Format.NAMES or not (asked is Format.IDS or whole):
        return tags, False
    meant = names or tuple(labels)
    if not meant:
        return tags, True
    ids: dict[str, str] = {}
    for each in distinct:
        match = cells.WHOLE.fullmatch(each)
        if match is None or not 0 <= int(match[1]) < len(meant):
            raise tag_errors.no_id(table, found, tags.index(each), each, meant)
        ids[each] = meant[int(match[1])]
    return [ids[tag] for tag in tags], True


def _of_tags(
    table: DataTable,
    found: TaggedTexts,
    tags: list[str],
    tagging: Tagging,
    task: Task,
    *,
    literal: bool,
) -> _Ids:
    """Turn tags into ids: by name where the scheme is the labels', else by what they say."""
    places = {label: number for number, label in enumerate(task.labels)}
    by_name = np.array([places.get(name, -1) for name in tagging.names], np.int64)
    ours, scheme, entities = scheme_of_labels(task.labels), tagging.scheme, tagging.entities
    alike = (ours, *((Scheme.IO, Scheme.IOB1) if ours is Scheme.IOB2 else ()))
    said = () if scheme is None else tag_errors.strays(table, found, tagging)
    if literal or scheme is None or (scheme in alike and (by_name >= 0).all()):
        return _Ids(by_name[tagging.ids], tags, len(entities), said)
    tag_errors.check_prefixes(table, found, tags, tagging, known=places)
    by_meaning = tag_schemes.by_meaning(task.labels)
    if scheme is ours:  # BILOU for BIOES, or PER for I-PER
        aliases = np.array([by_meaning.get(each, -1) for each in tagging.meanings], np.int64)
        return _Ids(np.where(by_name >= 0, by_name, aliases)[tagging.ids], tags, len(entities), said)
    made = _of_entities(entities, len(tags), task)
    written = f"{table.source}: the tags are {scheme}, the model's labels {ours}: written anew as {ours}"
    joined = tag_errors.joined(table, found, entities) if ours is Scheme.IO else ()
    return _Ids(made.ids, tags, len(entities), (*said, written, *joined))


def _of_entities(entities: Entities, total: int, task: Task) -> _Ids:
    """Write entities as the labels of a task."""
    by_meaning = tag_schemes.by_meaning(task.labels)
    prefixes = tag_schemes.written(entities, total, scheme_of_labels(task.labels)).tolist()
    types = tag_schemes.types_of(entities, total)
    ids = [by_meaning.get(each, -1) for each in zip(prefixes, types, strict=True)]
    return _Ids(np.array(ids, np.int64), [each or OUTSIDE_LABEL for each in types], len(entities), ())


def _labels(tagging: Tagging) -> list[str]:
    """Return all tags of each type that occurs, types in alphabetical order."""
    if tagging.scheme is Scheme.IO:
        return sorted(name for name, each in zip(tagging.names, tagging.meanings, strict=True) if each[1])
    types = sorted({kind for _, kind in tagging.meanings if kind})
    prefixes = _PREFIXES[tagging.scheme or Scheme.IOB2]
    if not any(
        name[:1] in "ES"
        for name, each in zip(tagging.names, tagging.meanings, strict=True)
        if each[0] > INSIDE
    ):
        prefixes = prefixes.translate(_BILOU)
    bare = set(tagging.names) <= {OUTSIDE_LABEL, "B", "I"}
    return [prefix if bare else f"{prefix}-{kind}" for kind in types for prefix in prefixes]


def _nothing() -> Entities:
    return Entities(np.zeros(0, np.int64), np.zeros(0, np.int64), ())
