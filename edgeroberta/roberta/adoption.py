"""Other forms of a checkpoint, converted into a copy: pickled weights, wrapped names, slow tokenizers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError, UnavailableError
from edgeroberta.roberta import names, tablecopy, tensorfile
from edgeroberta.roberta.config import load_object
from edgeroberta.storage import artifact, codedigest
from edgeroberta.storage import cache as cached

#: Every file a tokenizer of this family may consist of.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
)
#: Tokenizer files of other families, for teachers.
OTHER_TOKENIZERS = (
    "vocab.txt",
    "bpe.codes",
    "spm.model",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.model",
)
_PICKLE, _PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"


def needed(folder: Path) -> bool:
    """Tell whether a folder's weights or tokenizer have to be converted first.

    Args:
        folder: The model folder.

    Returns:
        True when there are only pickled weights, tensors of other names than transformers reads, or only
        slow tokenizer files.

    Raises:
        CheckpointError: The weights are damaged.
    """
    pickled = not tensorfile.weight_files(folder) and bool(_pickles(folder))
    return (
        pickled
        or _slow_tokenizer(folder)
        or not names.is_plain(tensorfile.read_folder(folder), where=str(folder))
    )


def adopt(folder: Path, *, cache: Path, allow_pickle: bool) -> Path:
    """Make a copy with safetensors and tokenizer.json; an earlier copy of the same files is reused.

    Args:
        folder: The model folder; it is not changed.
        cache: Folder for the copy.
        allow_pickle: Whether pickled weights may be read.

    Returns:
        The copy.

    Raises:
        CheckpointError: The weights are pickled and that was not allowed, or the conversion failed.
        UnavailableError: The conversion needs a package that is not installed.
    """
    pickles = () if tensorfile.weight_files(folder) else _pickles(folder)
    if pickles and not allow_pickle:
        raise CheckpointError(
            f"the weights are a pickle ({pickles[0].name}), which can run code when it is read",
            where=str(folder),
            hint="save the model with safetensors, or pass --allow-pickle if you trust its origin",
        )
    content = artifact.digest_value([codedigest.of(__name__), artifact.digest_tree(folder)])
    copy = cache / "checkpoints" / content[:32]
    return cached.folder(copy, lambda partial: _convert(folder, partial, pickles))


def _convert(folder: Path, copy: Path, pickles: tuple[Path, ...]) -> None:
    for name in ("config.json", "README.md", *TOKENIZER_FILES, *OTHER_TOKENIZERS):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, copy / name)
    if pickles:
        _convert_weights(folder, pickles, copy)
    elif stored := tensorfile.read_folder(folder):
        tablecopy.copy(folder, copy / tensorfile.SINGLE, {}, names=names.plain(stored, where=str(folder)))
    if _slow_tokenizer(folder):
        _convert_tokenizer(folder, copy)


def _pickles(folder: Path) -> tuple[Path, ...]:
    if (folder / _PICKLE).is_file():
        return (folder / _PICKLE,)
    index = folder / _PICKLE_INDEX
    if not index.is_file():
        return ()
    shards = load_object(index).get("weight_map")
    names = sorted(set(shards.values())) if isinstance(shards, dict) else []
    files = tuple(folder / str(name) for name in names)
    for file in files:
        if file.parent != folder or not file.is_file():
            raise CheckpointError(f"the index names {file.name}, which is not there", where=str(index))
    return files


def _slow_tokenizer(folder: Path) -> bool:
    if (folder / "tokenizer.json").is_file():
        return False
    byte_level = (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    return byte_level or (folder / "sentencepiece.bpe.model").is_file()


def _convert_weights(folder: Path, pickles: tuple[Path, ...], copy: Path) -> None:
    from safetensors.torch import save_file

    # Tied tensors share memory, which safetensors refuses: each gets its own.
    stored = {name: tensor.contiguous().clone() for file in pickles for name, tensor in _unpickle(file)}
    short = names.plain(stored, where=str(folder))
    tensors = {short[name]: tensor for name, tensor in stored.items()}
    save_file(tensors, str(copy / tensorfile.SINGLE), metadata={"format": "pt"})


def _unpickle(file: Path) -> Iterator[tuple[str, Any]]:
    import pickle

    import torch

    try:
        state = torch.load(str(file), map_location="cpu", weights_only=True)
        items = [(str(name), tensor) for name, tensor in state.items() if isinstance(tensor, torch.Tensor)]
    except (OSError, EOFError, RuntimeError, ValueError, AttributeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            "not a file of plain tensors; nothing else is read from a pickle",
            where=str(file),
            hint="load the model where it was trained and save it with safetensors",
        ) from error
    yield from items


def _convert_tokenizer(folder: Path, copy: Path) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), use_fast=True, local_files_only=True)
        tokenizer.save_pretrained(str(copy))
    except ImportError as error:
        raise UnavailableError(
            "converting a SentencePiece tokenizer needs the packages 'sentencepiece' and 'protobuf'",
            where=str(folder),
            hint="pip install sentencepiece protobuf",
        ) from error
    except Exception as error:  # transformers and tokenizers raise many kinds, some of them bare
        raise CheckpointError(
            f"the tokenizer files cannot be converted to tokenizer.json ({error})",
            where=str(folder),
            hint="download or save the tokenizer again",
        ) from error
