"""Which tokens begin a word, told from the vocabulary alone."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import numpy.typing as npt

from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.tokenizerfile import BPE, WORDPIECE, TokenizerFile
from edgeroberta.storage.files import TOKENIZER

#: What stands for white space at the beginning of pieces: space, line feed, tab and carriage return over
#: bytes, and the space of SentencePiece.
_SPACES = "ĠĊĉč▁"
#: Scripts that set no spaces between words: Thai and Lao, Burmese, Khmer, kana, Chinese.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
#: The first bytes of characters of these scripts, and of marks beyond ASCII, as UTF-8 has them: U+0E00,
#: U+1000, U+1780, U+2000 to U+9FFF, and U+F000 on, where full-width marks and rare characters are.
_FIRST_BYTES = re.compile(b"\xe0[\xb8-\xbb]|\xe1[\x80-\x82\x9e\x9f]|[\xe2-\xe9\xef\xf0]")


def table(model: Checkpoint) -> npt.NDArray[np.bool_]:
    """Tell of every token whether it begins a word, bool[V].

    It does where white space or punctuation is its first character; of WordPiece, where nothing marks it as
    the inside of a word. Of scripts without spaces, whose sentences would be one long word each, it does
    where it begins with a whole character, as each Chinese character is a word of BERT's.
    """
    file = TokenizerFile.read(model.folder / TOKENIZER)
    found = np.zeros(max(model.config.vocab_size, max(file.ids.values()) + 1), np.bool_)
    of_byte = _bytes() if file.kind == BPE else {}
    over_bytes = bool(of_byte) and of_byte.keys() <= file.ids.keys()
    for piece, number in file.ids.items():
        if file.kind == WORDPIECE:
            found[number] = not (file.mark and piece.startswith(file.mark))
        elif piece[:1] in _SPACES or (piece[:1].isascii() and not piece[:1].isalnum()):
            found[number] = True
        elif over_bytes:
            found[number] = bool(_FIRST_BYTES.match(bytes(of_byte.get(each, 0) for each in piece[:2])))
        else:
            found[number] = bool(UNSPACED.match(piece)) or unicodedata.category(piece[0])[0] == "P"
    return found


def _bytes() -> dict[str, int]:
    """Return the byte that each character of byte-level BPE stands for."""
    from tokenizers import pre_tokenizers

    every = pre_tokenizers.ByteLevel.alphabet()
    # Bytes that are no letters or marks by themselves are written as the characters from U+0100 on, in order.
    own = {each: ord(each) for each in every if ord(each) < 0x100}
    others = sorted(set(range(256)) - set(own.values()))
    return own | dict(zip(sorted(each for each in every if ord(each) >= 0x100), others, strict=True))
