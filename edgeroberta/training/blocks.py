"""Training sequences of unlabelled text: documents packed into blocks of tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks import Word
from edgeroberta.training.batching import Tokens


class Packing(Word):
    """What a block of tokens is made of."""

    FULL_SENTENCES = "full-sentences"  #: whole sentences, across documents, with a separator between these
    DOC_SENTENCES = "doc-sentences"  #: whole sentences of one document
    SEGMENT_PAIRS = "segment-pairs"  #: two segments, of one document or of two, and which it is
    SENTENCE_PAIRS = "sentence-pairs"  #: two sentences, likewise


@dataclass(frozen=True, eq=False)
class Blocks(Tokens):
    """Blocks of tokens, each one training sequence with its special tokens."""

    #: int8[n], 1 where a block's second part follows its first, 0 where it is from another document; None
    #: where blocks are no pairs
    next_sentence: npt.NDArray[np.int8] | None = None


@dataclass(frozen=True, eq=False)
class PackedCorpus:
    """What a model is pre-trained and judged on."""

    train: Blocks
    heldout: Blocks
    documents: int  # how many were read
    tokens: int  # in all of them, special tokens aside
    bytes: int  # in all of them, as UTF-8
