"""The order in which documents are packed: mixed within a buffer, then some million tokens at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeroberta.training.batching import Indices, first_windows, packed_numbers

#: Most tokens that are mixed at a time, 64 MB.
_MOST = 1 << 24
#: Tokens that are packed at a time: one training sequence of so many is short, and arrays take some 100 MB.
_WINDOW = 1 << 21


class DocumentTokens(NamedTuple):
    """Some documents as token ids."""

    ids: npt.NDArray[Any]  # [tokens], one document after the other
    lengths: Indices  # int64[documents]


def mixed(
    parts: Iterable[DocumentTokens], buffer: int, random: np.random.Generator
) -> Iterator[DocumentTokens]:
    """Put documents into random order within a buffer.

    ``buffer``: how many documents are mixed, fewer where these have more than 16 million tokens; 0 keeps the
    order.
    """
    gathered: list[DocumentTokens] = []
    for part in parts:
        if not buffer:
            yield part
            continue
        gathered.append(part)
        if _documents(gathered) >= buffer or _tokens(gathered) >= _MOST:
            yield from _shuffled(_together(gathered), buffer, random)
            gathered = []
    if gathered:
        yield from _shuffled(_together(gathered), buffer, random)


def _shuffled(part: DocumentTokens, buffer: int, random: np.random.Generator) -> Iterator[DocumentTokens]:
    offsets = first_windows(part.lengths)
    for first in range(0, len(part.lengths), buffer):
        order = first + random.permutation(min(buffer, len(part.lengths) - first))
        ends = np.cumsum(part.lengths[order])
        # Some at a time, since the number of a token takes four times as much memory as the token.
        for chosen in np.split(order, np.searchsorted(ends, np.arange(_WINDOW, int(ends[-1]), _WINDOW))):
            if not len(chosen):
                continue
            yield DocumentTokens(part.ids[packed_numbers(offsets, chosen)], part.lengths[chosen])


def windows(parts: Iterable[DocumentTokens]) -> Iterator[DocumentTokens]:
    """Gather documents into parts of some million tokens, of which none is a single document.

    Only where there is a single document at all, it is a part of its own.
    """
    gathered: list[DocumentTokens] = []
    ready: DocumentTokens | None = None
    for part in parts:
        if not len(part.lengths):
            continue
        gathered.append(part)
        if _tokens(gathered) >= _WINDOW and _documents(gathered) > 1:
            if ready is not None:
                yield ready
            ready, gathered = _together(gathered), []
    last = [] if ready is None else [ready]
    if last and _documents(gathered) > 1:
        yield last.pop()
    if last or gathered:
        yield _together([*last, *gathered])


def _tokens(parts: list[DocumentTokens]) -> int:
    return sum(len(part.ids) for part in parts)


def _documents(parts: list[DocumentTokens]) -> int:
    return sum(len(part.lengths) for part in parts)


def _together(parts: list[DocumentTokens]) -> DocumentTokens:
    return DocumentTokens(
        np.concatenate([part.ids for part in parts]), np.concatenate([part.lengths for part in parts])
    )
