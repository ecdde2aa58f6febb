"""Tokenized texts and the batches made of them: seeded, grouped by length, resumable anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.encoding import Encoding, all_windows
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage.artifact import digest_file, digest_value
from edgeroberta.storage.files import TOKENIZER, TOKENIZER_CONFIG

Indices = npt.NDArray[np.int64]
#: Token ids of a text, and the places of its tokens where somebody asked, int64[tokens, 3].
EncodedText = tuple[npt.NDArray[Any], Indices | None]


class EncodedTexts(NamedTuple):
    """Texts as token ids."""

    windows: list[EncodedText]  # of all texts, one after the other
    counts: list[int] | None  # windows of each text; None where each is read in one


#: Batches are cut from pools of this many: texts of one batch are then of similar length (2 to 3 %
#: padding on sentences), while every epoch still mixes them anew.
POOL_BATCHES = 50
#: Texts tokenized before their ids are packed; bounds memory while reading large files.
CHUNK = 8192
#: Ids digested at a time, 4 MB.
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids of many texts, packed one after the other."""

    ids: npt.NDArray[np.int32]  # int32[total], all ids; in memory, or in a file that is mapped into it
    offsets: Indices  # int64[n + 1], where each text starts; the last entry is the total
    pad_id: int  # id that fills up a batch
    #: int[total, 3], what each token stands for, see :class:`edgeroberta.tasks.Ragged`; None where nobody
    #: asked
    places: npt.NDArray[np.signedinteger] | None = None
    limit: int | None = None  # number of tokens at which texts were cut, where that is known
    #: int64[rows + 1], where the texts of each row start, where a row may be two texts that are read one by
    #: one; None where each text is a row
    rows: Indices | None = None
    #: int64[inputs + 1], which of these texts is the first window of each input; None where each text is one
    inputs: Indices | None = None

    @classmethod
    def pack(
        cls,
        sequences: Sequence[npt.ArrayLike],
        *,
        pad_id: int,
        places: Sequence[Indices] | None = None,
        limit: int | None = None,
        units: int = 1,
        counts: Sequence[int] | None = None,
    ) -> Tokens:
        """Pack token id sequences, one per text, and the places of their tokens.

        ``units``: how many of the texts are a row, one after the other. ``counts``: how many of them, one
        after the other, are windows of each input; None where each is one.
        """
        lengths = np.fromiter((np.size(s) for s in sequences), np.int64, len(sequences))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        ids = np.empty(int(offsets[-1]), np.int32)
        for sequence, start, stop in zip(sequences, offsets[:-1], offsets[1:], strict=True):
            ids[start:stop] = sequence
        rows = None if units == 1 else np.arange(0, len(sequences) + 1, units, dtype=np.int64)
        where = None if places is None else np.concatenate(places)
        inputs = None if counts is None else first_windows(counts)
        return cls(ids, offsets, pad_id, where, limit, rows, inputs)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Indices:
        """Tokens of each text, int64[n]."""
        return np.diff(self.offsets)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self) if self.rows is None else len(self.rows) - 1

    @property
    def row_lengths(self) -> Indices:
        """Tokens of the longest text of each row, int64[rows]."""
        return self.lengths if self.rows is None else np.maximum.reduceat(self.lengths, self.rows[:-1])

    def tokens_of(self, rows: Indices) -> int:
        """Count the tokens of the texts of rows."""
        texts = self.texts_of(rows)
        return int((self.offsets[texts + 1] - self.offsets[texts]).sum())

    def texts_of(self, rows: Indices) -> Indices:
        """Return the numbers of the texts of rows, those of a row one after the other."""
        return rows if self.rows is None else packed_numbers(self.rows, rows)

    @property
    def located(self) -> npt.NDArray[np.signedinteger]:
        """The places, where they were asked for when the texts were tokenized."""
        if self.places is None:
            raise ValueError("these tokens have no places")
        return self.places

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return int(self.lengths.max())

    @cached_property
    def digest(self) -> str:
        """The sha256 over all ids and lengths (hex)."""
        digest = hashlib.sha256(self.offsets.tobytes())
        if self.rows is not None:
            digest.update(self.rows.tobytes())
        for start in range(0, len(self.ids), _BLOCK):
            digest.update(self.ids[start : start + _BLOCK].tobytes())
        return digest.hexdigest()

    def batch(self, rows: Indices, *, multiple: int = 1) -> tuple[Indices, Indices]:
        """Pad the texts at ``rows`` on the right to the longest of them.

        ``rows``: int64[B], which texts. ``multiple``: pad further, to a multiple of this, but not beyond the
        longest of all texts, which is what the model is known to take. Returns token ids and attention mask,
        int64[B, S] each.
        """
        found, mask = self.table(rows, multiple=multiple)
        ids = np.where(mask, self.ids[found].astype(np.int64), self.pad_id)
        return ids, mask.astype(np.int64)

    def table(self, rows: Indices, *, multiple: int = 1) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Tell which of all tokens stands where in a batch; see :meth:`batch`.

        Returns numbers of tokens, int64[B, S], 0 where there is none, and where there is one, bool[B, S].
        """
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        width = int(lengths.max())
        if multiple > 1:
            width = min(-(-width // multiple) * multiple, self.longest)
        columns = np.arange(width)
        mask = columns < lengths[:, None]
        return np.where(mask, starts[:, None] + columns, 0), mask


def tokenize(
    model: Checkpoint | Path,
    inputs: Sequence[str] | Sequence[tuple[str, str]],
    *,
    max_length: int,
    places: bool = False,
    units: int = 1,
) -> Tokens:
    """Tokenize texts as the device will, cut at ``max_length`` or the model's own limit, in memory.

    ``units``: how many of the texts are a row, one after the other.
    """
    return encoded(Encoder.open(model, max_length=max_length), inputs, places=places, units=units)


def encoded(
    encoder: Encoder,
    inputs: Sequence[str] | Sequence[tuple[str, str]],
    *,
    places: bool = False,
    units: int = 1,
) -> Tokens:
    """Tokenize texts in memory; see ``token_files`` for very many of them. ``places``: keep them, too."""
    found: list[EncodedText] = []
    counts: list[int] | None = None
    for start in range(0, len(inputs), CHUNK):
        texts = encoder.texts(inputs[start : start + CHUNK], places=places)
        found += texts.windows
        counts = None if texts.counts is None else [*(counts or ()), *texts.counts]
    return Tokens.pack(
        [ids for ids, _ in found],
        pad_id=encoder.pad_id,
        places=[each for _, each in found if each is not None] if places else None,
        limit=encoder.limit,
        units=units,
        counts=counts,
    )


def packed_numbers(offsets: Indices, rows: Indices) -> Indices:
    """Return the numbers of the units of some texts, text by text; ``offsets``: where each text's start."""
    starts, counts = offsets[rows], offsets[rows + 1] - offsets[rows]
    ends = np.cumsum(counts)
    found: Indices = np.arange(int(counts.sum())) + np.repeat(starts - ends + counts, counts)
    return found


def first_windows(counts: Sequence[int] | Indices) -> Indices:
    """Return the number of each input's first window, int64[inputs + 1]; the last entry is the total."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def shuffled(lengths: Indices, *, batch_size: int, seed: int, epoch: int) -> list[Indices]:
    """Cut one epoch into batches of texts of similar length, in random order.

    Every text is in exactly one batch, and all batches but one are full. It takes 16 bytes a text.
    ``lengths``: int64[n], tokens of each text. ``batch_size``: texts per batch. ``epoch``: number of the
    epoch; each has its own order. Returns row indices of each batch; a function of the arguments alone, so
    that a resumed run finds the same batches.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    pool = batch_size * POOL_BATCHES
    batches: list[Indices] = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        rows = rows[np.argsort(-lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def by_length(lengths: Indices, *, batch_size: int) -> list[Indices]:
    """Cut texts into batches for inference, longest first: memory runs out early or never."""
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def process_share(rows: Indices, *, rank: int, processes: int) -> Indices:
    """Return the part of a batch that one of several processes works on.

    Rows are dealt out in turn, so that every process gets texts of about the same lengths. ``rows``:
    int64[B], the batch. ``rank``: number of the process, from 0. Returns its rows; empty when there are fewer
    rows than processes.
    """
    return rows[rank::processes]


@dataclass(frozen=True)
class Encoder:
    """A tokenizer, the length it cuts texts to, and a name for the two."""

    #: turns texts, or pairs of them, into token ids, one sequence of integers for each
    encode: Callable[[Sequence[Any]], Sequence[npt.ArrayLike]]
    pad_id: int  # id that fills up a batch
    digest: str  # digest of all that the ids depend on beside the texts (hex)
    #: the same with the places of the tokens, and contexts of questions in windows; None where it cannot tell
    locate: Callable[[Sequence[Any]], Sequence[Encoding]] | None = None
    limit: int | None = None  # number of tokens at which it cuts texts, where that is known

    @classmethod
    def open(cls, model: Checkpoint | Path, *, max_length: int) -> Encoder:
        """Read the tokenizer that the device will use, cut at ``max_length`` or the model's own limit."""
        model = Checkpoint.of(model)
        config, folder = model.config, model.folder
        length = min(max_length, config.max_length)
        tokenizer = TextTokenizer.open(folder, length)
        files = (folder / TOKENIZER, folder / TOKENIZER_CONFIG)
        contents = [digest_file(file) if file.is_file() else None for file in files]
        return cls(
            encode=lambda inputs: [encoding.ids for encoding in tokenizer.encode(inputs)],
            pad_id=config.pad_token_id,
            digest=digest_value([contents, length, config.pad_token_id]),
            locate=lambda inputs: tokenizer.encode(inputs, places=True),
            limit=length,
        )

    def texts(self, inputs: Sequence[Any], *, places: bool) -> EncodedTexts:
        """Tokenize texts, ids int32[tokens] each, with places int64[tokens, 3] where asked for."""
        if not places:
            return EncodedTexts([(np.asarray(ids, np.int32), None) for ids in self.encode(inputs)], None)
        if self.locate is None:
            raise CheckpointError(
                "its tokenizer does not tell which characters a token stands for",
                hint="name a model with a fast tokenizer, one that has a tokenizer.json",
            )
        found = self.locate(inputs)
        windows = [(np.asarray(each.ids, np.int32), each.places) for each in all_windows(found)]
        pairs = any(isinstance(each, tuple) for each in inputs[:1])
        return EncodedTexts(windows, [1 + len(each.rest) for each in found] if pairs else None)
