"""Counterfactual swaps: the same text of somebody else, he for she and she for he.

Counterfactual token fairness (Garg et al., Counterfactual Fairness in Text Classification through Robustness,
2019). Each term of a text becomes its counterpart in one go, in the case that it was written in: whole words
where words are told by blanks, possessives included, and characters in Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from edgeroberta.evaluation.term_lists import TermList
from edgeroberta.evaluation.text_edits import Edit, EditedText

#: Chinese and Japanese characters: terms with one are looked for inside words.
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# What goes on with a word: letters, digits and accents; and a hyphen or an apostrophe behind one of them, as
# in "one-man" and "d'art". Behind a term an apostrophe ends it ("the man's"), a hyphen does not.
_INSIDE = r"\w\u0300-\u036f"
_BEFORE, _AFTER = rf"(?<![{_INSIDE}])(?<![{_INSIDE}]['’-])", rf"(?![{_INSIDE}])(?!-[{_INSIDE}])"
#: After "her" and "his", words that begin no noun phrase: "gave her a", "it is his and". They were chosen on
#: half of 33,530 film reviews; how well they do on the others stands in docs/guides/fairness.md.
_NO_NOUN = frozenset(  # one word a line would be no easier to read
    """
    a about after again against all alone along also although always among an and another any anyone
    anything anyway are around as at away back be because been before behind beside between both but by
    can could dead did do does doing down during each either else enough even ever every everything find
    for forever from get getting go going had has have having he her here herself him himself his how
    however i if in instead into is it its just later like look may me might more must my neither never
    no nor not nothing now of off on once onto or our out over perhaps rather seem she should simply
    since so some something still such take talking than that the their them then there these they this
    those though through throughout to together too toward towards trying under until up upon us was we
    well were what when where whether which while who whom whose why will with within without would yet
    you your
    """.split()  # noqa: SIM905
)
#: "a" or "an" right before a term, which follows it: "a young man", "an old man".
_ARTICLE = re.compile(r"(?<![\w'’-])(an?)[ \t]+\Z", re.IGNORECASE)
#: What begins with the sound of a vowel, but for words that are seldom terms.
_VOWEL = re.compile(r"(?!eu|uni|one\b)[aeiou8]|heir|hour|honest", re.IGNORECASE)
_NEXT_WORD = re.compile(r"[ \t]+[\"“‘'(]?([^\W_][\w’'-]*)")


@dataclass(frozen=True)
class Swapper:
    """Swaps the terms of a list in texts."""

    terms: TermList

    def swap(self, text: str) -> EditedText:
        """Swap all terms of a text; one without terms has no edits."""
        found: list[Edit] = []
        for match in self._pattern.finditer(text):
            if (edit := self._edit(text, match)) is None:
                continue
            article = _article(text, edit, found[-1].end if found else 0)
            found += [edit] if article is None else [article, edit]
        return EditedText.of(text, found)

    def guessed(self, text: str) -> bool:
        """Tell whether a text has a term whose reading the next word decides."""
        ambiguous = {term.casefold() for term in self.terms.by_next_word}
        return bool(ambiguous) and any(
            match[0].casefold() in ambiguous for match in self._pattern.finditer(text)
        )

    @cached_property
    def _becomes(self) -> dict[str, tuple[str, tuple[str, str]]]:
        return {term.casefold(): (term, both) for term, both in self.terms.becomes.items()}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        words = {word.lower() for word in (*self.terms.becomes, *self.terms.keep)}
        chinese = {word for word in words if re.search(f"[{_CJK}]", word)}
        numbers = {word for word in chinese if word[0].isdigit()}
        parts = (
            (_BEFORE, words - chinese, _AFTER),
            (r"(?<!\d)", numbers, ""),  # "120岁" is not "20岁"
            ("", chinese - numbers, ""),
        )
        found = (f"{before}{_any_of(some)}{after}" for before, some, after in parts if some)
        return re.compile("|".join(found), re.IGNORECASE)

    def _edit(self, text: str, match: re.Match[str]) -> Edit | None:
        entry = self._becomes.get(match[0].casefold())
        if entry is None:  # what is kept
            return None
        term, (before_noun, otherwise) = entry
        new = otherwise
        if before_noun != otherwise:
            after = _NEXT_WORD.match(text, match.end())
            if after is not None and after[1].lower() not in _NO_NOUN:
                new = before_noun
        written = _as_written(match[0], term, new)
        return None if written is None else Edit(match.start(), match.end(), written)


def _any_of(words: Iterable[str]) -> str:
    """Write an expression for any of some words, the longest that is there, letter by letter.

    A list of words would be tried one after the other at every character: a hundred of them take twenty times
    as long.
    """
    rest: dict[str, list[str]] = {}
    for word in words:
        rest.setdefault(word[:1], []).append(word[1:])
    ends = "" in rest
    found = [
        re.escape(first) + (_any_of(after) if any(after) else "") for first, after in rest.items() if first
    ]
    return f"(?:{'|'.join(found)}){'?' if ends else ''}"


def _article(text: str, term: Edit, after: int) -> Edit | None:
    """Return how the article before a term changes with it; None where there is none, or it stays.

    ``after``: where the term before it ends.
    """
    found = _ARTICLE.search(text, after, term.start)
    if found is None:
        return None
    before, now = (_VOWEL.match(each) is not None for each in (text[term.start : term.end], term.new))
    if before is now or (len(found[1]) == 2) is not before:  # an article that was chosen otherwise stays
        return None
    large = found[1][0].isupper() and term.new.isupper() and len(term.new) > 1
    new = found[1][0] + ("" if before else "N" if large else "n")
    return Edit(*found.span(1), new)


def _as_written(found: str, term: str, new: str) -> str | None:
    """Write a term in the case of what it replaces; None where that is written like no word is."""
    for case in (str.lower, _capital, str.upper, str.title, str):
        if case(term) == found:
            return case(new)
    return None


def _capital(term: str) -> str:
    return term[:1].upper() + term[1:]
