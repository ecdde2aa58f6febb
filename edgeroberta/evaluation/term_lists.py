"""Lists of terms that come in pairs, such as he and she: the built-in ones, and the user's files.

A list is TOML: ``pairs`` of terms, each of which stands for the other; where one term may stand for two,
``by_next_word`` (what it becomes before a noun, and otherwise) and ``one_way`` (what is not swapped back);
and ``keep``, longer words and names in which nothing is swapped.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta.errors import UsageError, did_you_mean, shown
from edgeroberta.storage import paths

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).with_name("terms")
#: Built-in lists; each has a file of English terms and one of Chinese.
NAMES = tuple(sorted({file.name.partition(".")[0] for file in _FOLDER.glob("*.toml")}))
_SUFFIX = ".toml"
_KNOWN = ("pairs", "by_next_word", "one_way", "keep")
_EXAMPLE = 'pairs = [["he", "she"], ["man", "woman"]]'


@dataclass(frozen=True)
class TermList:
    """What is swapped for what."""

    name: str  # name of a built-in list, or of the user's file without its ending
    pairs: tuple[tuple[str, str], ...]
    #: term to what it becomes before a noun, and otherwise
    by_next_word: Mapping[str, tuple[str, str]]
    one_way: Mapping[str, str]  # term to what it becomes
    keep: tuple[str, ...]  # what stays as it is, though terms are in it

    @property
    def becomes(self) -> dict[str, tuple[str, str]]:
        """Each term, and what it becomes before a noun, and otherwise."""
        both = {a: (b, b) for pair in self.pairs for a, b in (pair, pair[::-1])}
        return {**both, **self.by_next_word, **{term: (new, new) for term, new in self.one_way.items()}}

    def to_json(self) -> dict[str, Any]:
        """Return the list as a JSON object."""
        return {
            "name": self.name,
            "pairs": [list(pair) for pair in self.pairs],
            "by_next_word": {term: list(both) for term, both in self.by_next_word.items()},
            "one_way": dict(self.one_way),
            "keep": list(self.keep),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> TermList:
        """Read :meth:`to_json`'s object back, checked as a file is."""
        rest = {key: value for key, value in fields.items() if key != "name"}
        return _read(rest, str(fields["name"]), where=f"the list {fields['name']!r}")


def load(name: str) -> TermList:
    """Return a built-in list by its name, or that of a file whose name ends in ``.toml``.

    Raises UsageError: there is no such list, or the file cannot be read, or its terms contradict each other.
    """
    if name.lower().endswith(_SUFFIX):
        file = paths.named(name)
        return _read(_parsed(file), file.name[: -len(_SUFFIX)], where=str(file))
    if name not in NAMES:
        raise UsageError(
            f"no list of terms is called {name!r}",
            where="swaps",
            hint=did_you_mean(name, NAMES) or f"one of {', '.join(NAMES)}, or a file that ends in {_SUFFIX}",
            code="usage.swaps",
        )
    parts = [
        _read(_parsed(file), name, where=str(file)) for file in sorted(_FOLDER.glob(f"{name}.*{_SUFFIX}"))
    ]
    return TermList(
        name,
        tuple(pair for part in parts for pair in part.pairs),
        {term: both for part in parts for term, both in part.by_next_word.items()},
        {term: new for part in parts for term, new in part.one_way.items()},
        tuple(word for part in parts for word in part.keep),
    )


def load_all(names: tuple[str, ...]) -> tuple[TermList, ...]:
    """Load several lists; two of one name are refused."""
    found = tuple(load(name) for name in names)
    told = [each.name for each in found]
    for name in told:
        if told.count(name) > 1:
            raise _error(f"two lists are called {name!r}", "swaps", hint="leave one out, or rename its file")
    return found


def _error(what: str, where: str, *, hint: str | None = None) -> UsageError:
    return UsageError(what, where=where, hint=hint or f"a list of terms: {_EXAMPLE}", code="usage.swaps")


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        what = f"not UTF-8, at byte {error.start}"
        raise _error(what, str(file), hint="save it as UTF-8") from error
    except OSError as error:
        raise _error(f"cannot be read ({error.strerror})", str(file)) from error
    except ValueError as error:
        raise _error(f"not TOML ({error})", str(file)) from error


def _read(fields: Mapping[str, Any], name: str, *, where: str) -> TermList:
    for key in fields:
        if key not in _KNOWN:
            hint = did_you_mean(key, _KNOWN) or f"known keys: {', '.join(_KNOWN)}"
            raise _error(f"unknown key {key!r}", where, hint=hint)
    tables = {key: fields.get(key, {}) for key in ("by_next_word", "one_way")}
    for key, table in tables.items():
        if not isinstance(table, Mapping):
            raise _error(f"should be a table of terms, not {shown(table)}", f"{where}: {key}")
    found = TermList(
        name,
        tuple(_both(each, f"{where}: pairs[{n}]") for n, each in _listed(fields, "pairs", where)),
        {term: _both(each, f"{where}: by_next_word.{term}") for term, each in tables["by_next_word"].items()},
        {term: _term(each, f"{where}: one_way.{term}") for term, each in tables["one_way"].items()},
        tuple(_term(each, f"{where}: keep[{n}]") for n, each in _listed(fields, "keep", where)),
    )
    _check_overlaps(found, where)
    return found


def _listed(fields: Mapping[str, Any], key: str, where: str) -> Iterator[tuple[int, Any]]:
    given = fields.get(key, [])
    if not isinstance(given, list):
        raise _error(f"should be a list, not {shown(given)}", f"{where}: {key}")
    yield from enumerate(given)


def _both(given: Any, where: str) -> tuple[str, str]:
    if not isinstance(given, list) or len(given) != 2:
        raise _error(f"should be two terms, not {shown(given)}", where)
    first, second = (_term(each, where) for each in given)
    return first, second


def _term(given: Any, where: str) -> str:
    if not isinstance(given, str):
        raise _error(f"a term should be a text, not {shown(given)}", where)
    if not given.strip():
        raise _error("an empty term", where)
    if given != given.strip():
        raise _error(f"the term {given!r} has blanks at its ends", where, hint=f"write {given.strip()!r}")
    if not any(unicodedata.category(each)[0] in "LN" for each in given):
        raise _error(f"the term {given!r} has neither a letter nor a digit", where)
    return given


def _check_overlaps(found: TermList, where: str) -> None:
    """Refuse an empty list, and a term that would become two things."""
    seen: dict[str, str] = {}
    for place, term in _terms(found):
        key = term.casefold()
        if key in seen:
            before = seen[key]
            what = (
                f"the term {term!r} is on both sides"
                if before == place
                else (f"the term {term!r} is in {before} and in {place}")
            )
            raise _error(
                what, f"{where}: {place}", hint="a term can become one other: leave it in one of its pairs"
            )
        seen[key] = place
    for term in found.keep:
        if term.casefold() in seen:
            raise _error(
                f"the term {term!r} is kept, and swapped in {seen[term.casefold()]}",
                f"{where}: keep",
                hint="leave it out of one of them",
            )
    if not seen:
        raise _error("no pairs of terms", f"{where}: pairs")


def _terms(found: TermList) -> Iterator[tuple[str, str]]:
    for number, pair in enumerate(found.pairs):
        for term in pair:
            yield f"pairs[{number}]", term
    for key in ("by_next_word", "one_way"):
        for term in getattr(found, key):
            yield f"{key}.{term}", _term(term, key)
