"""Texts as a tokenizer sees them: which tokens occur, how many, and whether another gives the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeroberta.roberta import wordpiece
from edgeroberta.roberta.tokenizerfile import WORDPIECE, TokenizerFile
from edgeroberta.runtime.tokenizer import Input, TextTokenizer

Ids = npt.NDArray[np.int64]

#: Stands for no limit on a text's length: what is cut off on a device is counted all the same.
UNCUT = 1 << 30


def count(folder: Path, chunks: Iterable[Sequence[Input]], rows: int) -> Ids:
    """Count the tokens of texts by a folder's tokenizer, int64[rows]."""
    total = np.zeros(rows, np.int64)
    for encoded in _encoded(folder, chunks):
        total += np.bincount(np.concatenate(encoded), minlength=rows)
    return total


def on_the_way(file: TokenizerFile, chunks: Iterable[Sequence[Input]], rows: int) -> Ids:
    """Count the pieces that WordPiece takes of unknown words before it gives them up, int64[rows].

    Nothing is counted for other models, which have no such pieces.
    """
    total = np.zeros(rows, np.int64)
    if file.kind != WORDPIECE:
        return total
    unknown, tokenizer = file.words.model.unk_token, TextTokenizer.open(file.path.parent, UNCUT)
    number = file.ids.get(str(unknown), -1)
    for chunk in chunks:
        for item, encoding in zip(chunk, tokenizer.encode(chunk), strict=True):
            if not (encoding.ids == number).any():
                continue
            for text in (item,) if isinstance(item, str) else item:
                for word in wordpiece.words(file, text):
                    np.add.at(total, list(wordpiece.on_the_way(file, word)), 1)
    return total


def longest(folder: Path, chunks: Iterable[Sequence[Input]]) -> int:
    """Return the number of tokens of the longest text, special tokens included."""
    return max((len(ids) for encoded in _encoded(folder, chunks) for ids in encoded), default=0)


def changed(old: Path, new: Path, kept: Ids, chunks: Iterable[Sequence[Input]]) -> int:
    """Count the texts that two tokenizers cut into different pieces."""
    first, second = (TextTokenizer.open(folder, UNCUT) for folder in (old, new))
    total = 0
    for chunk in chunks:
        pairs = zip(first.encode(chunk), second.encode(chunk), strict=True)
        total += sum(not np.array_equal(before.ids, kept[after.ids]) for before, after in pairs)
    return total


def _encoded(folder: Path, chunks: Iterable[Sequence[Input]]) -> Iterator[list[Ids]]:
    tokenizer = TextTokenizer.open(folder, UNCUT)
    for chunk in chunks:
        if chunk:
            yield [encoding.ids for encoding in tokenizer.encode(chunk)]
