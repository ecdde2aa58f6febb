"""Files of words with a tag each: columns with a blank line between sentences, and pairs of aligned files."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from edgeroberta.errors import DataError, shown

logger = logging.getLogger(__name__)

#: What the columns of a table of sentences are called.
WORDS, TAGS, TEXT = "tokens", "ner_tags", "text"
#: Extensions of a file of words and of the file beside it that has their tags.
ALIGNED = {".in": ".out", ".words": ".tags"}

_DOCUMENT = "-DOCSTART-"
_SPACES = re.compile(r"[ \t]+")
#: What a tag looks like where a line that begins with # may be a comment or a word.
_TAG = re.compile(r"O|[BIESLUMW]-\S+")


@dataclass
class Sentence:
    """Words and their tags, with the line of each."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def sentences(parts: Iterable[str], source: str, numbers: Sequence[int] = ()) -> Iterator[Sentence]:
    """Cut a file with one word a line (CoNLL) into sentences.

    Fields stand between tabs, or between spaces where the first word's line has no tab. Blank lines and
    ``-DOCSTART-`` end a sentence; lines that begin with ``#`` before its first word are comments, unless they
    have a tag and as many fields as the next word's line. ``parts``: the file's lines, each with its end.
    ``numbers``: the columns of the word and of the tag, from 1; the first and the last where none are given.
    Raises DataError: a line lacks a column, a word or a tag is empty, or the first column counts the words.
    """
    reader = _Columns(source, numbers)
    found, comments = Sentence(), list[tuple[int, str]]()
    for number, part in enumerate(itertools.chain(parts, ("",)), start=1):
        line = part.removesuffix("\n").removesuffix("\r")
        if not line.strip() or line.split(maxsplit=1)[0] == _DOCUMENT:
            if found.words:
                reader.note(found)
                yield found
            elif reader.mark is not None:
                yield from _of_marks(reader, comments)
            found, comments = Sentence(), []
        elif line.startswith("#") and not found.words:
            comments.append((number, line))
        else:
            reader.open(line, number)
            for each in comments:
                if reader.is_word(*each):
                    reader.add(found, *each)
            comments = []
            reader.add(found, number, line)
    reader.finish()


def _of_marks(reader: _Columns, comments: list[tuple[int, str]]) -> Iterator[Sentence]:
    """Give the sentence of words that all begin with ``#``, if there is one."""
    found = Sentence()
    for number, line in comments:
        if reader.is_word(number, line):
            reader.add(found, number, line)
    if found.words:
        reader.note(found)
        yield found


class _Columns:
    """How a line is cut into fields, which the first word's line decides."""

    def __init__(self, source: str, numbers: Sequence[int]) -> None:
        self.source, self.numbers = source, numbers
        self.mark: str | None = None  # what separates fields; None as long as no word has been seen
        self.width, self.first = 0, 0  # fields of the first word's line, and its number
        self.seen = set[str]()  # tags of the words before
        self.counts = not numbers  # whether the first column is 1, 2, 3 … in each sentence
        self.longest = 0  # words of the longest sentence
        self.left = list[tuple[int, str]]()  # comments that may be words

    def open(self, line: str, number: int) -> None:
        if self.mark is not None:
            return
        self.mark = "\t" if "\t" in line.strip() else " "
        self.width, self.first = len(self.fields(line)), number
        if not self.numbers and self.width < 2:
            raise DataError(
                f"one column, {shown(line.strip())}, where a word and its tag are needed",
                where=f"{self.source}:{number}",
                hint="write a word and its tag on each line, with a tab or a space between them",
                code="data.columns",
            )

    def fields(self, line: str) -> list[str]:
        if self.mark == "\t":
            return [each.strip(" ") for each in line.rstrip("\t ").split("\t")] if line.strip() else []
        return _SPACES.split(line.strip(" \t"))

    def tag(self, line: str) -> str:
        fields = self.fields(line)
        place = self.numbers[-1] - 1 if self.numbers else -1
        return fields[place] if place < len(fields) else ""

    def is_word(self, number: int, line: str) -> bool:
        """Tell whether a line that begins with ``#`` is a word: its last field must be a tag."""
        if len(self.fields(line)) != self.width:
            return False
        tag, glued = self.tag(line), line[1:2] not in (" ", "\t")
        # "# 7" is a comment that counts sentences, also where tags are numbers.
        if _TAG.fullmatch(tag) or (tag in self.seen and (glued or not tag.isdecimal())):
            return True
        if glued:
            self.left.append((number, line))
        return False

    def note(self, sentence: Sentence) -> None:
        """Keep what the rest of the file is judged by."""
        self.seen.update(sentence.tags)
        self.longest = max(self.longest, len(sentence.words))
        self.counts = self.counts and sentence.words == [
            str(place) for place in range(1, len(sentence.words) + 1)
        ]

    def finish(self) -> None:
        """Tell of lines that may be words, and refuse numbers in the place of words."""
        if self.left:
            number, line = self.left[0]
            what = "%s:%d: %s that begin with # taken for comments, though with the fields of words: %s"
            logger.warning(what, self.source, number, counted(len(self.left), "line"), shown(line.strip()))
        if self.counts and self.longest > 1:
            raise DataError(
                "the first column counts the words of each sentence: 1, 2, 3 …",
                where=f"{self.source}:{self.first}",
                hint=f"say which columns count: --text '#2' --label '#{self.width}'",
                code="data.columns",
            )

    def add(self, sentence: Sentence, number: int, line: str) -> None:
        where, fields = f"{self.source}:{number}", self.fields(line)
        if self.numbers and len(fields) < max(self.numbers):
            raise DataError(
                f"{counted(len(fields), 'column')}, so there is no column #{max(self.numbers)}",
                where=where,
                hint="a word and its tag are needed on each line, and a blank line between sentences",
                code="data.columns",
            )
        if not self.numbers and len(fields) != self.width:
            raise DataError(
                f"{counted(len(fields), 'column')} where line {self.first} has {self.width}",
                where=where,
                hint="is a word or its tag missing? Where lines do differ, say which columns count: "
                "--text '#1' --label '#2'",
                code="data.columns",
            )
        places = (self.numbers[0] - 1, self.numbers[-1] - 1) if self.numbers else (0, -1)
        word, tag = (fields[place] for place in places)
        for what, text in (("word", word), ("tag", tag)):
            if not text:
                raise DataError(
                    f"an empty {what}", where=where, hint="write both, or delete the line", code="data.words"
                )
        sentence.words.append(word)
        sentence.tags.append(tag)
        sentence.lines.append(number)


def aligned(words: Iterable[str], tags: Iterable[str], source: str, other: str) -> Iterator[Sentence]:
    """Join a file of sentences, words separated by spaces, with the file that has a tag for each word.

    Sentence ``i`` of one is line ``i`` of the other; a line that is empty in both is passed over. ``source``,
    ``other``: names of the two files. Raises DataError: a line has more words than tags or fewer, or one file
    has more lines.
    """
    for number, (first, second) in enumerate(itertools.zip_longest(words, tags), start=1):
        if first is None or second is None:
            longer, shorter = (other, source) if first is None else (source, other)
            rest = (second if first is None else first) or ""
            if not rest.strip():
                continue
            raise DataError(
                f"{shorter} ends at line {number - 1}, but {longer} goes on",
                where=f"{longer}:{number}",
                hint="both files need a line for each sentence",
                code="data.words",
            )
        found = [_SPACES.split(each.strip(" \t\r\n")) for each in (first, second)]
        parts: list[list[str]] = [[] if each == [""] else each for each in found]
        if len(parts[0]) != len(parts[1]):
            raise _unequal(f"{source}:{number}", len(parts[0]), len(parts[1]), f"line {number} of {other}")
        if parts[0]:
            yield Sentence(parts[0], parts[1], [number] * len(parts[0]))


def counted(number: int, what: str) -> str:
    """Return ``1 word`` or ``2 words``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _unequal(where: str, words: int, tags: int, place: str) -> DataError:
    return DataError(
        f"{counted(words, 'word')}, but {counted(tags, 'tag')} in {place}",
        where=where,
        hint="each word needs one tag, O where it belongs to no entity",
        code="data.words",
    )
