"""Which tokens a model keeps: those that the user's texts need, and the likeliest of the others.

Why texts whose tokens are all kept are tokenized as before, to the last token:

*BPE* joins, again and again, the pair of neighbours that is first in the list of merges. Whatever it
joins on the way ends up inside a token of the result, so with every token of a text we keep what that
token is made of, down to the bytes, and all merges between kept pieces, in their order. By induction
over the steps the old and the new tokenizer join the same pair: the one the old one chose is still in
the list, and no pair that was not in the old list has come to stand before it. Where the old one finds
nothing to join, neither does the new one.

*Unigram* takes the segmentation of the highest score, found from left to right; among equals the one
found first. The pieces of that segmentation are kept, so its score is still reached, and of all others
some are gone and none is better than it was: at every place it is still the first of the best. The
score of an unknown character hangs on the lowest score of all pieces, so one of these is kept, too;
where a character has a piece of its own hangs on that piece, so every single character is kept.

*WordPiece* takes of the rest of a word the longest piece that there is, again and again. Pieces of the texts
are kept, and no other has come, so each is still the longest where it was taken. A word is unknown where no
piece fits any more; what was taken of it up to there is kept as well, so that it comes to the same place.

Any text still has tokens: bytes (BPE) or single characters, bytes and the unknown token (Unigram) stay. Of
WordPiece single characters stay, as words and as pieces of words, and so does every piece with a character
that is not there alone; so a word that was known is known, if all its characters are there in both forms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import UsageError
from edgeroberta.roberta import wordpiece
from edgeroberta.roberta.tokenizerfile import BPE, WORDPIECE, TokenizerFile

#: One number for each id, or ids.
Counts = npt.NDArray[np.int64]

Floats = npt.NDArray[np.float64]

#: Ids below this stay what they are: the special tokens of every model of the family.
FIXED_IDS = 4


@dataclass(frozen=True)
class VocabularyLimits:
    """How many tokens to keep."""

    keep: float = 0.4  # share of the old number of tokens to fill up to; what the texts use is kept beyond it
    size: int | None = None  # exactly so many tokens instead; if the texts use more, the rarest of them go
    min_count: int = 1  # times that the texts must need a token for it to count as used


def parts(file: TokenizerFile) -> dict[int, set[int]]:
    """Map each token that BPE makes to the tokens that it may be made of; empty for other models."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for left, right in file.merges:
        # Several pairs may make the same piece, and any of them may be joined: all their parts count.
        found[file.ids[left + right]].update((file.ids[left], file.ids[right]))
    return dict(found)


def needed(file: TokenizerFile, counts: Counts) -> Counts:
    """Count how often each token is made on the way to the tokens of the texts.

    ``file``: the tokenizer. ``counts``: occurrences of each token, int64[rows]. Returns occurrences within
    other tokens added, int64[rows]: never less for a part than for the whole.
    """
    total, made_of = counts.copy(), parts(file)
    # Parts are shorter than what they make, so a whole is complete when its turn comes.
    for whole in sorted(made_of, key=lambda number: len(file.pieces[number]), reverse=True):
        for part in made_of[whole]:
            total[part] += total[whole]
    return total


def ranks(file: TokenizerFile, rows: int) -> Floats:
    """Rank tokens from the most general to the most special.

    Merges are found in the order of how often their pairs occur in the tokenizer's training texts, and the
    scores of a Unigram model are log probabilities there. Of WordPiece, longer pieces were found later, so
    that their order is that of the ids. ``file``: the tokenizer. Returns float64[rows];
    infinite for ids that the model does not make of others (single characters) or at all.
    """
    if file.kind == BPE:
        order: Iterable[int] = (file.ids[left + right] for left, right in file.merges)
    elif file.kind == WORDPIECE:
        order = sorted(wordpiece.possible(file))
    else:
        order = sorted(file.scores, key=lambda number: (-file.scores[number], number))
    found = np.full(rows, np.inf)
    for rank, number in enumerate(order):
        if number in file.pieces:
            found[number] = min(found[number], rank)
    return found


def choose(
    file: TokenizerFile,
    counts: Counts,
    *,
    limits: VocabularyLimits,
    prior: Floats,
    fixed: Collection[int] = (),
) -> Counts:
    """Choose the tokens to keep.

    ``file``: the tokenizer. ``counts``: occurrences of each token in the user's texts, int64[rows].
    ``fixed``: ids that must stay beyond those that the tokenizer itself names. ``prior``: which tokens to
    fill up with, float64[rows], the highest first; -infinity for those that are never to be filled in.
    Returns ids to keep, rising. Raises UsageError: ``limits.size`` is less than what no text can be tokenized
    without.
    """
    kept = _indispensable(file) | {each for each in (*range(FIXED_IDS), *fixed) if each in file.pieces}
    size = limits.size
    if size is not None and size < len(kept):
        raise UsageError(
            f"{size} tokens are too few: special tokens and single characters alone are {len(kept)}",
            hint=f"give at least {len(kept)}",
        )
    total = needed(file, counts)
    used = [number for number in file.pieces if total[number] >= limits.min_count and number not in kept]
    # A part is needed at least as often as its whole, and is shorter: any start of this list is closed.
    used.sort(key=lambda number: (-int(total[number]), len(file.pieces[number]), number))
    kept.update(used if size is None else used[: size - len(kept)])
    _fill(kept, parts(file), prior, int(limits.keep * len(counts)) if size is None else size)
    return np.array(sorted(kept), np.int64)


def single_characters(file: TokenizerFile) -> set[int]:
    """Return the ids of pieces of one character, or byte."""
    return {number for number, piece in file.pieces.items() if len(piece) == 1}


def _indispensable(file: TokenizerFile) -> set[int]:
    kept = single_characters(file)
    if file.kind == WORDPIECE:
        kept |= wordpiece.indispensable(file)
    if file.scores:
        kept.add(min(file.scores, key=lambda number: file.scores[number]))
    return kept | file.named | file.byte_pieces


def _fill(kept: set[int], made_of: Mapping[int, set[int]], prior: Floats, size: int) -> None:
    """Add tokens, each with what it is made of, until there are ``size`` or none fits any more."""
    for number in np.argsort(-prior, kind="stable"):
        if len(kept) >= size or prior[number] == -np.inf:
            break
        new: set[int] = set()
        ahead = [int(number)]
        while ahead:
            each = ahead.pop()
            if each not in kept and each not in new:
                new.add(each)
                ahead.extend(made_of.get(each, ()))
        if len(kept) + len(new) <= size:
            kept |= new
