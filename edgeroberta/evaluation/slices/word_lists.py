"""Lists of words in a file, and the texts that have one of them.

A line ``she: she, her, hers`` is a list with its name; a line without a colon adds its words to a list that
is named after the file. ``#`` begins a comment at the start of a line or behind a blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgeroberta.data.readers import numbered_lines
from edgeroberta.errors import DataError

#: Scripts without spaces between words: a word of theirs may stand anywhere in a text.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_COMMENT = re.compile(r"(?:^|\s)#")
_COLON, _COMMA = re.compile("[:\uff1a]"), re.compile("[,\uff0c\u3001]")


def read(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a file of lists; returns the words of each by its name, in the order of the file.

    Raises DataError: there is no such file, or no words in it; a list is empty, or is there twice; a word is
    in two lists.
    """
    source = str(path)
    if not path.is_file():
        raise DataError("no such file of words", where=source, hint="check the path", code="data.not-found")
    lists: dict[str, list[str]] = {}
    known: dict[str, tuple[str, int]] = {}
    for number, line in numbered_lines(path, source=source):
        text = _COMMENT.split(line, maxsplit=1)[0].strip()  # "c#" is a word
        if not text:
            continue
        parts = _COLON.split(text, maxsplit=1)
        name, where = parts[0].strip() if len(parts) > 1 else path.stem, f"{source}:{number}"
        words = [word for each in _COMMA.split(parts[-1]) if (word := " ".join(each.split()))]
        if not name or not words:
            what = "a list without a name" if not name else f"the list {name!r} has no words"
            raise _wrong(what, where, "write it as: name: word, word")
        if len(parts) > 1 and name in lists:
            raise _wrong(f"a second list {name!r}", where, "put all words of a list on one line")
        for word in words:
            _refuse_again(word, name, known.get(word.casefold()), where)
            known[word.casefold()] = (name, number)
        lists.setdefault(name, []).extend(words)
    if not lists:
        raise _wrong("no words in the file", source, "a list a line, such as: she: she, her, hers")
    return {name: tuple(words) for name, words in lists.items()}


def pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Return what finds whole words, in texts that are casefolded as :func:`having` does.

    In scripts without spaces a word may be a part of another one.
    """
    ordered = sorted((word.casefold() for word in words), key=len, reverse=True)
    return re.compile("|".join(map(_bounded, ordered)))


def having(texts: Sequence[str], lists: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Return the numbers of the texts that have one of the words of each list; case does not count."""
    folded = [text.casefold() for text in texts]
    found = {}
    for name, words in lists.items():
        search = pattern(words).search
        found[name] = [number for number, text in enumerate(folded) if search(text)]
    return found


def _bounded(word: str) -> str:
    """Let a word end where it ends, but for a side that is written without spaces."""
    spaced = r"[^\W" + _UNSPACED + "]"
    before = rf"(?<!{spaced})" if re.match(spaced, word) else ""
    after = rf"(?!{spaced})" if re.match(spaced, word[-1]) else ""
    return before + re.escape(word).replace(r"\ ", r"\s+") + after


def _refuse_again(word: str, name: str, before: tuple[str, int] | None, where: str) -> None:
    if before is None:
        return
    if before[0] == name:
        raise _wrong(f"{word!r} is in the list {name!r} twice", where, "leave one of them out")
    raise _wrong(
        f"{word!r} is in the list {name!r}, and in {before[0]!r} on line {before[1]}: lists that overlap do"
        " not tell texts apart",
        where,
        "leave it in one of them",
    )


def _wrong(what: str, where: str, hint: str) -> DataError:
    return DataError(what, where=where, hint=hint, code="data.word-lists")
