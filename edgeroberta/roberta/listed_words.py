"""The user's list of words that are to be tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from edgeroberta.data import word_list
from edgeroberta.errors import DataError, UsageError
from edgeroberta.roberta.new_words import Candidate, WordReader

# Words that a message names.
_SHOWN = 5


def read(name: str, reader: WordReader, counts: Mapping[str, int]) -> list[Candidate]:
    """Read the words of a file; those that are tokens already have no pieces.

    ``counts``: occurrences of pre-tokens. Raises DataError: the file cannot be read, a word cannot be a
    token, or all of them are.
    """
    found = []
    for word, line in word_list.read(name).items():
        try:
            each = reader.candidate(word, counts)
        except UsageError as error:
            raise DataError(error.what, where=f"{name}:{line}", hint=error.hint) from error
        found.append(replace(each, pieces=()) if reader.is_token(word) else each)
    if not any(each.pieces for each in found):
        raise DataError(
            f"all {len(found):,} words are tokens of the model already",
            where=name,
            hint="leave the stage out, or list words that it cuts",
        )
    return found


def idle(words: Sequence[Candidate], *, counted: bool) -> Iterator[str]:
    """Say which words bring nothing. ``counted``: whether there are texts to look for them in."""
    known = [each.word for each in words if not each.pieces]
    absent = [each.word for each in words if each.pieces and not each.occurrences and counted]
    for found, what in ((known, "tokens already"), (absent, "nowhere in the texts as words that it cuts")):
        if found:
            more = ", …" if len(found) > _SHOWN else ""
            yield f"{what}: {', '.join(found[:_SHOWN])}{more} ({len(found):,} of the words)"
