"""What is said of tags: errors that name the line and what to do, and what people should know."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from edgeroberta.data.columns import quoted
from edgeroberta.data.label_format import Format
from edgeroberta.data.readers import DataTable
from edgeroberta.data.tag_schemes import Entities, Tagging, meanings
from edgeroberta.data.word_rows import TaggedTexts
from edgeroberta.errors import DataError, UsageError, did_you_mean, shown
from edgeroberta.tasks.schemes import INSIDE, OUTSIDE_LABEL, Scheme, tag_table

_SCHEMES = "tags are those of IO, IOB1, IOB2 or BIOES: O, B-PER, I-PER, E-PER, S-PER"
_STRAYS = {
    Scheme.IOB1: "begin with B- although no other of their type is right before them",
    Scheme.IOB2: "begin with I- without B-",
    Scheme.BIOES: "do not go from B- to E-, or are one word without S-",
}


def check_asked(asked: Format | None) -> None:
    """Refuse a format that is of labels per text."""
    if asked in (Format.MULTI_HOT, Format.VALUES):
        raise UsageError(
            f"{asked} are asked for, but the rows have a tag per word",
            where="--label-format",
            hint="one of names, ids, tags",
        )


def check_labels(table: DataTable, labels: Sequence[str]) -> None:
    """Refuse a model whose labels have no names, since no tag can be told from another."""
    if tuple(labels) == tuple(f"LABEL_{number}" for number in range(len(labels))):
        raise DataError(
            f"the model's labels have no names ({quoted(labels)}), so tags cannot be matched with them",
            where=table.source,
            hint='set id2label in its config.json: {"0": "O", "1": "B-PER", …}',
            code="data.tags",
        )


def check_prefixes(
    table: DataTable, found: TaggedTexts, tags: Sequence[str], tagging: Tagging, known: Collection[str] = ()
) -> None:
    """Refuse tags of which some have a prefix and others have none, or another mark than a hyphen."""
    inside = {name for name, each in zip(tagging.names, tagging.meanings, strict=True) if each[0] == INSIDE}
    plain = {name for name in inside if not name.startswith("I-") and name != "I" and name not in known}
    if not plain:
        return
    number = next(number for number, tag in enumerate(tags) if tag in plain)
    tag = tags[number]
    prefixed = sorted(name for name in tagging.names if name not in plain and name[1:2] == "-")
    if not prefixed and all(name[1:2] in ("_", ":", "/", ".") and name[0] in "BIESLU" for name in plain):
        what = f"the tag {shown(tag)} has another mark than a hyphen after {tag[0]}"
        raise _bad(table, found, number, what, f"write {tag[0] + '-' + tag[2:]!r}")
    if not prefixed and {name.upper() for name in plain} & {OUTSIDE_LABEL, "0", "_", "-"}:
        outside = next(name for name in sorted(plain) if name.upper() in (OUTSIDE_LABEL, "0", "_", "-"))
        number = list(tags).index(outside)
        raise _bad(
            table, found, number, f"the tag {shown(outside)} is no type", "is it O, the capital letter?"
        )
    if prefixed:
        near = next((name for name in prefixed if name.casefold() == tag.casefold()), None)
        what = f"the tag {shown(tag)} has no prefix of a scheme, but others have one, such as {prefixed[0]!r}"
        raise _bad(table, found, number, what, f"did you mean {near!r}?" if near else _SCHEMES)


def no_tag(table: DataTable, found: TaggedTexts, number: int, tag: Any) -> DataError:
    """Make the error for a word whose tag is nothing, or no text or number."""
    _row, word = found.word(number)
    what = f"{shown(tag)} is no tag" if tag not in (None, "") else "no tag"
    return _bad(table, found, number, f"{what} of word {word + 1}", "words of no entity are tagged O")


def no_id(table: DataTable, found: TaggedTexts, number: int, tag: str, names: Sequence[str]) -> DataError:
    """Make the error for an id that stands for no name."""
    hint = f"ids are 0 to {len(names) - 1}: {quoted(names)}"
    if tag == "-100":
        hint = "-100 is for tokens of a tokenizer that are not learned from: give words, with one tag each"
    elif tag[:1] not in "-+" and not tag[:1].isdigit():
        hint = "tags are ids here, and this is a name: --label-format names"
    return _bad(table, found, number, f"the tag {shown(tag)} is none of the ids", hint)


def ids_without_names(table: DataTable) -> DataError:
    """Make the error for ids that nothing gives names to."""
    return DataError(
        "tags are ids, and nothing says which tags they stand for",
        where=table.where(0),
        hint="write the tags by name; or give a Parquet file or Hub data set that has class names",
        code="data.tags",
    )


def unknown(
    table: DataTable, found: TaggedTexts, number: int, tags: Sequence[str], labels: Sequence[str]
) -> DataError:
    """Make the error for a tag that is none of the model's labels."""
    tag, known = tags[number], tag_table(tuple(labels))
    (_, kind), *_ = meanings(tag_table((tag, *labels)), 1)
    near = {label.casefold(): label for label in labels}.get(tag.casefold())
    types = {each.casefold(): each for each in known.types}
    if tag == OUTSIDE_LABEL:
        hint = "the model has no label O: take another one"
    elif near is not None and near != tag:
        hint = f"did you mean {near!r}?"
    elif kind in known.types:
        have = [label for label, place in zip(labels, known.kinds, strict=True) if known.types[place] == kind]
        hint = f"of {kind!r} the model has {quoted(have)} alone"
    elif kind.casefold() in types or (suggested := did_you_mean(kind, known.types)) is None:
        same = types.get(kind.casefold())
        hint = f"did you mean {same!r}?" if same else _other_types(known.types)
    else:
        hint = f"{suggested} the model's types are {quoted(known.types)}"
    row, word = found.word(number)
    return DataError(
        f"unknown {'tag' if found.tags is not None else 'label'} {shown(tag)}; the model's labels are "
        f"{quoted(labels)}",
        where=table.where(row, word if found.tags is not None else None),
        hint=hint,
        code="data.label-unknown",
    )


def no_entity(table: DataTable) -> DataError:
    """Make the error for rows of which no word is in an entity."""
    return DataError(
        "no entity: every word is outside of one",
        where=table.source,
        hint="are these the columns of words and tags? --text COLUMN --label COLUMN",
        code="data.tags",
    )


def one_tag(table: DataTable, tag: str) -> DataError:
    """Make the error for rows whose words all have the same tag."""
    return DataError(
        f"every word has the same tag, {tag!r}",
        where=table.source,
        hint="words of no entity are tagged O; is this the column of tags?",
        code="data.tags",
    )


def strays(table: DataTable, found: TaggedTexts, tagging: Tagging) -> tuple[str, ...]:
    """Say how many entities are not written as the scheme has it, and where the first is."""
    astray = tagging.strays()
    if not len(astray):
        return ()
    where = table.where(*found.word(int(astray[0])))
    count = f"{len(astray):,} of {len(tagging.entities):,} entities"
    how = _STRAYS[tagging.scheme or Scheme.IO]
    return (f"{where}: the tags are {tagging.scheme}, but {count} {how}, as here; they count all the same",)


def joined(table: DataTable, found: TaggedTexts, entities: Entities) -> tuple[str, ...]:
    """Say how many entities become one with the neighbour of their type where there is no ``B-``."""
    kinds = np.array(entities.types, dtype=object)
    after = (entities.starts[1:] == entities.lasts[:-1] + 1) & (kinds[1:] == kinds[:-1])
    rows = np.searchsorted(found.offsets, entities.starts, side="right")
    lost = entities.starts[1:][after & (rows[1:] == rows[:-1])]
    if not len(lost):
        return ()
    where = table.where(*found.word(int(lost[0])))
    return (
        f"{where}: {len(lost):,} entities become one with the one before them, of the same type, as here",
    )


def _other_types(types: Sequence[str]) -> str:
    return f"the model finds {quoted(types)}: tag others O, or train a model on these tags"


def _bad(table: DataTable, found: TaggedTexts, number: int, what: str, hint: str) -> DataError:
    return DataError(what, where=table.where(*found.word(number)), hint=hint, code="data.tags")
