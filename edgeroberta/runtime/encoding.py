"""What a text is to a model: the ids of its tokens, which characters they stand for, and its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import UsageError
from edgeroberta.tasks import Outputs, Task, Unit, tokens
from edgeroberta.tasks.outputs import WORD, Indices

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# What the token for what a vocabulary does not have is called where the model itself does not say.
_UNKNOWN = ("<unk>", "[UNK]")
#: A text, or a pair of texts.
Input = str | tuple[str, str]


class NativeEncoding(Protocol):
    """What the ``tokenizers`` package gives for one text or pair."""

    @property
    def ids(self) -> list[int]:
        """Ids of the tokens."""

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """First character of each token, and the one after its last."""

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for the tokens that the template adds."""

    @property
    def sequence_ids(self) -> list[int | None]:
        """0 or 1, the text of a pair that each token is of."""

    @property
    def word_ids(self) -> list[int | None]:
        """Number of the word, as the tokenizer parts its text, that each token is of."""

    @property
    def overflowing(self) -> Sequence[NativeEncoding]:
        """What was cut off, in encodings of its own."""


@dataclass(frozen=True)
class Encoding:
    """The token ids of one text or pair, or of the first window of one that is read in several."""

    ids: npt.NDArray[np.int64]  # int64 [length], special tokens included
    truncated: bool  # True when the text was longer than the model takes and a part of it was cut off
    #: int64 [length, 3] of a text, see :class:`edgeroberta.tasks.outputs.Ragged`; None where nobody asked
    places: Indices | None = None
    rest: tuple[Encoding, ...] = ()  # the windows after the first, in the order of the text
    overlap: int = 0  # tokens that a window has in common with the next one
    #: what the tiers of a cascade but the last read in its place, None for those that take no such text;
    #: empty of a bundle of one model, and where nobody has asked
    tiers: tuple[Encoding | None, ...] = ()


@dataclass(frozen=True)
class WordMarks:
    """Tokens that tell where words begin, beside the spaces of a text."""

    unknown: int | None  # id of the token for what the vocabulary does not have, which begins a word
    #: ids of the pieces inside of words, where the tokenizer marks these (WordPiece's ``##``); None where not
    inside: frozenset[int] | None = None

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> WordMarks:
        """Read them of a tokenizer of the ``tokenizers`` package."""
        model = tokenizer.model
        names = (getattr(model, "unk_token", None), *_UNKNOWN)
        ids = (tokenizer.token_to_id(name) for name in names if name)
        prefix = getattr(model, "continuing_subword_prefix", None)
        if not prefix:
            return cls(next((one for one in ids if one is not None), None))
        pieces = tokenizer.get_vocab(with_added_tokens=False)
        inside = frozenset(number for piece, number in pieces.items() if piece.startswith(prefix))
        return cls(next((one for one in ids if one is not None), None), inside)

    def places(
        self, text: str, spans: Sequence[tuple[int, int]], special: Sequence[int], ids: Sequence[int]
    ) -> Indices:
        """Tell what tokens stand for, int64 [tokens, 3]; see :func:`edgeroberta.tasks.tokens.places`."""
        if self.inside is None:
            unknown = self.unknown
            found = [at for at, one in enumerate(ids) if one == unknown] if unknown in ids else ()
            return tokens.places(text, spans, special, found)
        inside = self.inside
        return tokens.places(text, spans, special, inside=[at for at, one in enumerate(ids) if one in inside])


def place(found: NativeEncoding, text: str, marks: WordMarks) -> Indices:
    """Tell which characters of a text its tokens stand for, int64 [length, 3]."""
    return marks.places(text, found.offsets, found.special_tokens_mask, found.ids)


def windows(
    parts: Sequence[NativeEncoding], item: Input, overlap: int, *, marks: WordMarks, places: bool
) -> Encoding:
    """Read one text or pair in windows.

    ``parts``: those that the tokenizer gives, in the order of the text. ``overlap``: tokens that each has in
    common with the next one. ``places``: whether to tell characters, of a text alone.
    """
    where: Sequence[Indices | None] = [None] * len(parts)
    if places and isinstance(item, str):
        where = _places(parts, item, overlap, marks)
    made = [
        Encoding(np.array(part.ids, np.int64), False, one) for part, one in zip(parts, where, strict=True)
    ]
    return replace(made[0], rest=tuple(made[1:]), overlap=overlap)


def _places(parts: Sequence[NativeEncoding], text: str, overlap: int, marks: WordMarks) -> list[Indices]:
    """Place the tokens of windows; a word has one number in all of them."""
    masks = [np.array(part.special_tokens_mask, bool) for part in parts]
    spans: list[tuple[int, int]] = []
    ids: list[int] = []
    for number, (part, mask) in enumerate(zip(parts, masks, strict=True)):
        own = np.flatnonzero(~mask)[overlap if number else 0 :].tolist()
        all_spans, all_ids = part.offsets, part.ids
        spans += [all_spans[row] for row in own]
        ids += [all_ids[row] for row in own]
    whole = marks.places(text, spans, [0] * len(spans), ids)
    found, start = [], 0
    for mask in masks:
        one = np.tile(np.array([0, 0, -1], np.int64), (len(mask), 1))
        count = int((~mask).sum())
        one[~mask] = whole[start : start + count]
        start += count - overlap
        found.append(one)
    return found


def refuse_separator(found: NativeEncoding, separator: int, where: str | None = None) -> None:
    """Refuse a first text that holds the separator: the model would take its rest for the second text."""
    places = [row for row, one in enumerate(found.ids) if one == separator]
    # Of a pair without it in its texts there are two, and who is the first one's is not asked for.
    if len(places) > 2 and found.sequence_ids[places[0]] is not None:
        raise UsageError(
            f"the first text of the pair holds the token that separates it from the second (id "
            f"{separator}), where this model has no answer",
            where=where,
            hint="take it out of the text; in most models it reads [SEP]",
            code="usage.separator",
        )


def all_windows(encodings: Sequence[Encoding]) -> Sequence[Encoding]:
    """Return the windows of all inputs, one after the other; the encodings themselves where none has more."""
    if not any(one.rest for one in encodings):
        return encodings
    return [window for one in encodings for window in (one, *one.rest)]


def mask_places(encoding: Encoding, mask_id: int | None) -> Indices:
    """Return the places of a window's masks, int64 [masks, 3]; the last column is the number of the token.

    Where nobody asked for characters, the first two are this number and the next one.
    """
    numbers = np.flatnonzero(encoding.ids == mask_id)
    if encoding.places is None:
        return np.stack([numbers, numbers + 1, numbers], axis=1).astype(np.int64)
    found = encoding.places[numbers]
    found[:, WORD] = numbers
    return found


def merge_windows(task: Task, outputs: Outputs, encodings: Sequence[Encoding]) -> Outputs:
    """Make the outputs of inputs of those of all their windows, and add the places of tokens."""
    if task.kind.unit is Unit.MASK and encodings:
        found = [mask_places(one, task.mask_id) for one in all_windows(encodings)]
        outputs = replace(outputs, places=np.concatenate(found))
    elif task.kind.unit.located and encodings:
        places = [one.places for one in all_windows(encodings) if one.places is not None]
        outputs = replace(outputs, places=np.concatenate(places))
    if len(outputs) == len(encodings):
        return outputs
    merged, start = [], 0
    for encoding in encodings:
        stop = start + 1 + len(encoding.rest)
        own = outputs[start:stop]
        merged.append(task.kind.merge(task, own, encoding.overlap) if encoding.rest else own)
        start = stop
    return Outputs.concatenate(merged)
