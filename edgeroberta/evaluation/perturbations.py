"""Perturbed texts: what hurried people, other keyboards and careless programs make of them.

Each perturbation takes a text and a source of chance that is seeded by the text alone, so that a text is
always perturbed alike, whatever rows stand beside it. None takes away all of a text, and all keep its words
in their order, so that labels stay true.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

from edgeroberta.errors import UsageError, did_you_mean
from edgeroberta.evaluation.text_edits import Edit, EditedText

#: One word in so many gets a typo, and at least one of a text.
_WORDS_PER_TYPO = 8
#: Words of fewer letters get none: what is left of them would often be another word.
_LEAST_LETTERS = 4
_WORD = re.compile(r"[^\W\d_]+")
#: The same with what an apostrophe ties to it.
_WHOLE_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
#: Chinese and Japanese characters, of which words are not told apart by blanks.
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
#: Keys beside each other on a QWERTY keyboard.
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_KEYS = {
    key: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in _ROWS
    for place, key in enumerate(row)
}
#: A mark within a word or a number, which belongs to it: don't, well-known, 3.5, 12:30.
_WITHIN = re.compile(r"(?<=[^\W_])['’‐-](?=[^\W_])|(?<=\d)[.,:/](?=\d)")
#: ASCII, and the forms of its letters, digits and marks that are as wide as a Chinese character.
_WIDE = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)}
_OTHER_WIDTH = {**_WIDE, **{wide: narrow for narrow, wide in _WIDE.items()}}

Edits = Iterator[Edit]


def perturb(name: str, text: str, *, seed: int) -> EditedText:
    """Perturb a text; what it is depends on the name, the text and the seed alone.

    ``name``: a key of :data:`PERTURBATIONS`. Returns the text without edits where there is nothing to do, or
    where nothing but blanks would be left.
    """
    chance = random.Random(f"{seed}\0{name}\0{text}")
    found = EditedText.of(text, PERTURBATIONS[name](text, chance))
    return found if found.text.strip() else EditedText(text)


def check(names: Sequence[str], where: str = "perturb") -> None:
    """Refuse what is no perturbation, or is named twice."""
    for name in names:
        if name not in PERTURBATIONS:
            raise UsageError(
                f"no perturbation is called {name!r}",
                where=where,
                hint=did_you_mean(name, PERTURBATIONS) or f"one of {', '.join(PERTURBATIONS)}",
                code="usage.perturb",
            )
        if list(names).count(name) > 1:
            raise UsageError(f"{name!r} is named twice", where=where, code="usage.perturb")


def _typos(text: str, chance: random.Random) -> Edits:
    """Exchange, drop, double or mistype a letter of some words, and of Chinese two neighbours or one."""
    words = [match.span() for match in _WORD.finditer(text) if not _CJK.search(match[0])]
    words = [(start, end) for start, end in words if end - start >= _LEAST_LETTERS]
    # Two characters of Chinese are about a word.
    words += [
        (start, start + 2)
        for match in _CJK.finditer(text)
        for start in range(match.start(), match.end() - 1, 2)
    ]
    count = max(1, round(len(words) / _WORDS_PER_TYPO))
    for start, end in sorted(chance.sample(words, min(count, len(words)))):
        yield _typo(text, start, end, chance)


def _typo(text: str, start: int, end: int, chance: random.Random) -> Edit:
    if end - start < _LEAST_LETTERS:  # Chinese
        first, second = text[start], text[start + 1]
        return Edit(start, end, chance.choice((second + first, first)))
    place = chance.randrange(start + 1, end - 1)  # the first letter is seldom wrong, and tells the case
    here, after = text[place], text[place + 1]
    near = _KEYS.get(here.lower(), "")
    ways = [after + here, after, here * 2 + after]
    if near:
        wrong = chance.choice(near)
        ways.append((wrong.upper() if here.isupper() else wrong) + after)
    return Edit(place, place + 2, chance.choice([each for each in ways if each != here + after]))


def _case(text: str, chance: random.Random) -> Edits:
    """Write all letters small, all large, or each word with a large one; one of those that differ."""
    forms = [str.lower, str.upper, _titled]
    made = [
        [
            Edit(*match.span(), new)
            for match in _WHOLE_WORD.finditer(text)
            if (new := form(match[0])) != match[0]
        ]
        for form in forms
    ]
    differing = [each for each in made if each]
    yield from chance.choice(differing) if differing else ()


def _titled(word: str) -> str:
    return word[:1].upper() + word[1:].lower()


def _punctuation(text: str, chance: random.Random) -> Edits:
    """Leave out marks, but those within words and numbers; where words would run together a blank stays."""
    within = {match.start() for match in _WITHIN.finditer(text)}
    marks = [unicodedata.category(each)[0] == "P" and at not in within for at, each in enumerate(text)]
    at = 0
    while at < len(text):
        if not marks[at]:
            at += 1
            continue
        start = at
        while at < len(text) and marks[at]:
            at += 1
        apart = start > 0 and at < len(text) and _joins(text[start - 1]) and _joins(text[at])
        yield Edit(start, at, " " if apart else "")


def _joins(letter: str) -> bool:
    """Tell whether a character would make one word with another beside it."""
    return not letter.isspace() and not _CJK.match(letter)


def _width(text: str, chance: random.Random) -> Edits:
    """Write ASCII in full-width forms, and full-width forms in ASCII: done twice it is the same text."""
    for at, each in enumerate(text):
        if (other := _OTHER_WIDTH.get(each)) is not None:
            yield Edit(at, at + 1, other)


#: What can be done to texts, by its name.
PERTURBATIONS: Mapping[str, Callable[[str, random.Random], Edits]] = {
    "typos": _typos,
    "case": _case,
    "punctuation": _punctuation,
    "width": _width,
}
