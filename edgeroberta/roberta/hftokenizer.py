"""A checkpoint's tokenizer as transformers opens it, and where that leaves the file aside.

transformers 5 rebuilds the tokenizers of known classes (``RobertaTokenizer``, ``XLMRobertaTokenizer``, …)
from vocabulary and merges, with the class's own normalizer and pre-tokenizer in place of those that
``tokenizer.json`` has (5.24, ``convert_to_native_format``); transformers 4 takes them from the file. What
is in the file is what the model was trained with: saving writes what was used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError, UnavailableError, missing_extra
from edgeroberta.roberta import loading
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import tokenizerfiles

#: Parts of a tokenizer that decide where a text is cut into words.
_PARTS = ("normalizer", "pre_tokenizer")


def open_files(folder: Path, **settings: Any) -> Any:
    """Open any folder's tokenizer as ``AutoTokenizer`` does, without network or foreign code."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "compress", purpose="its tokenizer") from error
    try:
        return AutoTokenizer.from_pretrained(
            str(folder), use_fast=True, local_files_only=True, trust_remote_code=False, **settings
        )
    except ImportError as error:
        raise UnavailableError(
            f"its tokenizer needs a package that is not installed ({error})",
            where=str(folder),
            hint="pip install sentencepiece protobuf",
        ) from error
    except Exception as error:  # transformers and tokenizers raise many kinds, some of them bare
        raise CheckpointError(
            f"transformers cannot open its tokenizer ({error!s:.300})",
            where=str(folder),
            hint="download or save the model with its tokenizer",
        ) from error


def load(model: Checkpoint) -> Any:
    """Open a tokenizer of this family, which pads on the right whatever is stored.

    RoBERTa's classifiers read the first token, and transformers' answer to a text alone is the right one:
    padded on the left, the first token of all but the longest texts of a batch is padding.
    """
    config = loading.transformers_config(model)
    named = model.fields.get("tokenizer_class")
    if isinstance(named, str):
        config.tokenizer_class = named
    tokenizer = open_files(model.folder, config=config)
    tokenizer.padding_side = "right"
    return tokenizer


def load_as_written(model: Checkpoint) -> Any:
    """Open a tokenizer as :func:`load`, but with all that ``tokenizer.json`` says of words."""
    tokenizer = load(model)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        written, _ = tokenizerfiles.read(model.folder)
        for part in _PARTS:
            setattr(backend, part, getattr(written, part))
    return tokenizer
