"""Training sequences of unlabelled text: documents packed into blocks of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks import Word
from edgeroberta.training.batching import Tokens


class Packing(Word):
    """What a training sequence is made of (RoBERTa, arXiv 1907.11692, section 4.2)."""

    FULL_SENTENCES = "full-sentences"  #: sentences one after the other, across documents with a separator
    DOC_SENTENCES = "doc-sentences"  #: the same, but never of two documents
    SEGMENT_PAIRS = "segment-pairs"  #: two segments of many sentences, half of them of two documents (BERT)
    SENTENCE_PAIRS = "sentence-pairs"  #: two sentences, half of them of two documents

    @property
    def paired(self) -> bool:
        """Whether sequences have two parts, of which the second may be from another document."""
        return self in (Packing.SEGMENT_PAIRS, Packing.SENTENCE_PAIRS)


@dataclass(frozen=True, eq=False)
class Blocks(Tokens):
    """Training sequences; ids are uint16 where the vocabulary allows it, else int32, little-endian."""

    #: int8[n], whether the second part of each follows the first (1) or is of another document (0); None
    #: where sequences have no second part
    next_sentence: npt.NDArray[np.int8] | None = None
    content: str | None = None  # what they were made of and how (hex), where that is known

    @cached_property
    def digest(self) -> str:
        """A digest of what they were made of, where that is known; else of ids and lengths (hex)."""
        return self.content or super().digest


@dataclass(frozen=True, eq=False)
class PackedCorpus:
    """A corpus as training sequences."""

    train: Blocks
    heldout: Blocks
    documents: int  # that were read
    tokens: int  # of text, without special ones
    bytes: int  # of text, in UTF-8
