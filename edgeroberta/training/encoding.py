"""What turns texts into token ids, whichever tokenizer that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.runtime.tokenizer import CONFIG_FILE, TOKENIZER_FILE, TextTokenizer
from edgeroberta.storage.artifact import digest_file, digest_value


@dataclass(frozen=True)
class Encoder:
    """A tokenizer, the length it cuts texts to, and a name for the two."""

    #: turns texts, or pairs of them, into token ids, one sequence of integers for each
    encode: Callable[[Sequence[Any]], Sequence[npt.ArrayLike]]
    pad_id: int  # id that fills up a batch
    digest: str  # digest of all that the ids depend on beside the texts (hex)

    @classmethod
    def open(cls, folder: Path, *, max_length: int) -> Encoder:
        """Read the tokenizer that the device will use, cut at ``max_length`` or the model's own limit."""
        config = EncoderConfig.from_dir(folder)
        length = min(max_length, config.max_length)
        tokenizer = TextTokenizer.open(folder, length)
        files = (folder / TOKENIZER_FILE, folder / CONFIG_FILE)
        contents = [digest_file(file) if file.is_file() else None for file in files]
        return cls(
            encode=lambda inputs: [encoding.ids for encoding in tokenizer.encode(inputs)],
            pad_id=config.pad_token_id,
            digest=digest_value([contents, length, config.pad_token_id]),
        )
