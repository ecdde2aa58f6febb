"""Schemes of tags: how a tag per word says where entities begin and end."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from edgeroberta.tasks import Word

OUTSIDE = "O"
_PREFIXED = re.compile(r"([BIES])-(.*)", re.DOTALL)
#: Prefixes of the BILOU and BMEWO schemes, and what they are in BIOES.
_OTHER_PREFIXES = {"L": "E", "U": "S", "M": "I", "W": "S"}


class Scheme(Word):
    """How tags mark entities."""

    PLAIN = "IO without prefixes"  #: the tag is the entity's type; neighbours of one type are one entity
    IO = "IO"  #: ``I-`` throughout; neighbours of one type are one entity
    IOB1 = "IOB1"  #: ``B-`` only where an entity follows another of its type
    IOB2 = "IOB2"  #: ``B-`` on the first word of each entity
    BIOES = "BIOES"  #: ``E-`` on the last word, ``S-`` on the only one

    def holds(self, other: Scheme) -> bool:
        """Tell whether another scheme's tags mean the same among the labels of this one."""
        return other is self or (self in _IOB and other in (*_IOB, Scheme.IO))


_IOB = (Scheme.IOB1, Scheme.IOB2)


@dataclass(frozen=True)
class Entity:
    """An entity: the number of its first word, that of the one after its last, and its type."""

    first: int
    after: int
    type: str


@dataclass(frozen=True)
class TagSurvey:
    """What the tags of sentences say."""

    scheme: Scheme | None  # None where there is no entity
    entities: int  # how many there are
    #: sentence and word where an entity begins or ends as its scheme does not have it
    strays: tuple[tuple[int, int], ...]


def split(tag: str) -> tuple[str, str]:
    """Split a tag into its prefix and the entity's type: ``B-PER`` into B and PER; O has no type."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    found = _PREFIXED.fullmatch(tag)
    return (found[1], found[2]) if found else ("", tag)


def entities(tags: Sequence[str]) -> list[Entity]:
    """Read the entities of a sentence's tags as seqeval does by default, whatever the scheme."""
    found: list[Entity] = []
    start, previous, kind = -1, OUTSIDE, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, type_ = split(tag)
        inside = prefix in ("I", "E", "") and previous in ("B", "I", "") and type_ == kind
        if start >= 0 and not inside:
            found.append(Entity(start, place, kind))
            start = -1
        if start < 0 and prefix != OUTSIDE:
            start = place
        previous, kind = prefix, type_
    return found


def tags_of(found: Iterable[Entity], count: int, scheme: Scheme) -> list[str]:
    """Write the entities of a sentence of ``count`` words as tags of a scheme."""
    tags = [OUTSIDE] * count
    before: Entity | None = None
    for each in found:
        first, last = each.first, each.after - 1
        for place in range(first, each.after):
            tags[place] = f"I-{each.type}" if scheme is not Scheme.PLAIN else each.type
        touching = before is not None and before.after == first and before.type == each.type
        if scheme in (Scheme.IOB2, Scheme.BIOES) or (scheme is Scheme.IOB1 and touching):
            tags[first] = f"B-{each.type}"
        if scheme is Scheme.BIOES:
            tags[last] = f"{'S' if first == last else 'E'}-{each.type}"
        before = each
    return tags


def bioes_of(tags: Collection[str]) -> dict[str, str]:
    """Return what BILOU or BMEWO tags are in BIOES; nothing where these are none."""
    prefixes = {tag[0] for tag in tags if tag[1:2] == "-"}
    if not prefixes & {"L", "U", "W"} or prefixes & {"S", "E"} - ({"E"} if "M" in prefixes else set()):
        return {}
    if not prefixes <= {"B", "I", "E", *_OTHER_PREFIXES}:
        return {}
    return {
        tag: _OTHER_PREFIXES[tag[0]] + tag[1:]
        for tag in tags
        if tag[1:2] == "-" and tag[0] in _OTHER_PREFIXES
    }


def of_labels(labels: Iterable[str]) -> Scheme:
    """Tell the scheme of a model's labels; B- and I- alone are IOB2, which IOB1's tags are among, too."""
    prefixes = {split(label)[0] for label in labels} - {OUTSIDE}
    if prefixes & {"E", "S"}:
        return Scheme.BIOES
    if "B" in prefixes:
        return Scheme.IOB2
    return Scheme.IO if prefixes == {"I"} else Scheme.PLAIN


def survey(sentences: Sequence[Sequence[str]]) -> TagSurvey:
    """Tell the scheme of the tags of sentences; see :class:`Scheme`."""
    starts: dict[str, list[tuple[int, int]]] = {}
    broken: list[tuple[int, int]] = []
    total = 0
    for row, tags in enumerate(sentences):
        before: Entity | None = None
        for each in entities(tags):
            total += 1
            prefix, _ = split(tags[each.first])
            touching = before is not None and (before.after, before.type) == (each.first, each.type)
            starts.setdefault(prefix + "*" * touching, []).append((row, each.first))
            last, _ = split(tags[each.after - 1])
            right = (
                (prefix, last) == ("S", "S") if each.after - each.first == 1 else (prefix, last) == ("B", "E")
            )
            if not right:
                broken.append((row, each.first))
            before = each
    prefixes = {split(tag)[0] for tags in sentences for tag in tags} - {OUTSIDE}
    if not total:
        return TagSurvey(None, 0, ())
    if prefixes & {"E", "S"}:
        return TagSurvey(Scheme.BIOES, total, tuple(broken))
    if "B" not in prefixes:
        return TagSurvey(Scheme.IO if prefixes == {"I"} else Scheme.PLAIN, total, ())
    inside, begun = starts.get("I", []), starts.get("B", [])
    if len(inside) > len(begun):
        return TagSurvey(Scheme.IOB1, total, tuple(begun))
    return TagSurvey(Scheme.IOB2, total, tuple(inside))
