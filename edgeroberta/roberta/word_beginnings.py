"""Which tokens begin a word, told from the vocabulary alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.tokenizerfile import WORDPIECE, TokenizerFile
from edgeroberta.storage.files import TOKENIZER

#: What stands for white space at the beginning of pieces: space, line feed, tab and carriage return over
#: bytes, and the space of SentencePiece.
_SPACES = "ĠĊĉč▁"


def table(model: Checkpoint) -> npt.NDArray[np.bool_]:
    """Tell of every token whether it begins a word, bool[V].

    It does where white space or punctuation is its first character; of WordPiece, where nothing marks it as
    the inside of a word. Characters beyond ASCII begin none over bytes and in SentencePiece: a Chinese
    sentence is one long word there.
    """
    file = TokenizerFile.read(model.folder / TOKENIZER)
    found = np.zeros(max(model.config.vocab_size, max(file.ids.values()) + 1), np.bool_)
    for piece, number in file.ids.items():
        if file.kind == WORDPIECE:
            found[number] = not (file.mark and piece.startswith(file.mark))
        else:
            found[number] = piece[:1] in _SPACES or (piece[:1].isascii() and not piece[:1].isalnum())
    return found
