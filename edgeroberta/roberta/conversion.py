"""Checkpoints of other forms, converted into a copy: pickled weights, wrapped names, slow tokenizers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import files, hftokenizer, names, tablecopy
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import load_object
from edgeroberta.storage import artifact, codedigest
from edgeroberta.storage import cache as cached
from edgeroberta.storage.files import CONFIG, README, TOKENIZER


def needed(model: Checkpoint) -> bool:
    """Tell whether weights are pickled, names of tensors not transformers', or the tokenizer a slow one."""
    pickled = not model.weight_files and bool(_pickles(model.folder))
    return (
        pickled
        or _has_slow_tokenizer(model)
        or not names.is_plain(model.tensors, prefix=model.config.prefix, where=str(model))
    )


def convert(model: Checkpoint, *, cache: Path, allow_pickle: bool) -> Checkpoint:
    """Make a copy with safetensors and tokenizer.json; an earlier copy of the same files is reused."""
    pickles = () if model.weight_files else _pickles(model.folder)
    if pickles and not allow_pickle:
        raise CheckpointError(
            f"the weights are a pickle ({pickles[0].name}), which can run code when it is read",
            where=str(model),
            hint="save the model with safetensors, or pass --allow-pickle if you trust its origin",
        )
    content = artifact.digest_value([codedigest.of(__name__), artifact.digest_tree(model.folder)])
    copy = cache / "checkpoints" / content[:32]
    return Checkpoint(cached.folder(copy, lambda partial: _convert(model, partial, pickles)))


def _convert(model: Checkpoint, copy: Path, pickles: tuple[Path, ...]) -> None:
    for name in (CONFIG, README, *files.TOKENIZERS, *files.OTHER_TOKENIZERS):
        if (model.folder / name).is_file():
            shutil.copyfile(model.folder / name, copy / name)
    if pickles:
        _convert_weights(model, pickles, copy)
    elif stored := model.tensors:
        tablecopy.copy(
            model,
            copy / files.WEIGHTS,
            {},
            new_names=names.plain(stored, prefix=model.config.prefix, where=str(model)),
        )
    if _has_slow_tokenizer(model):
        hftokenizer.open_files(model.folder).save_pretrained(str(copy))


def _pickles(folder: Path) -> tuple[Path, ...]:
    if (folder / files.PICKLE).is_file():
        return (folder / files.PICKLE,)
    index = folder / files.PICKLE_INDEX
    if not index.is_file():
        return ()
    shards = load_object(index).get("weight_map")
    found = (
        tuple(folder / str(name) for name in sorted(set(shards.values()))) if isinstance(shards, dict) else ()
    )
    for file in found:
        if file.parent != folder or not file.is_file():
            raise CheckpointError(f"the index names {file.name}, which is not there", where=str(index))
    return found


def _has_slow_tokenizer(model: Checkpoint) -> bool:
    folder = model.folder
    # BERTweet, a RoBERTa, has a file of that name as well, which no fast tokenizer is made of.
    of_bert = model.config.family == "bert"
    slow = [parts for parts in files.SLOW_TOKENIZERS if of_bert or parts != files.WORDPIECE]
    return not (folder / TOKENIZER).is_file() and any(
        all((folder / name).is_file() for name in parts) for parts in slow
    )


def _convert_weights(model: Checkpoint, pickles: tuple[Path, ...], copy: Path) -> None:
    from safetensors.torch import save_file

    # Tied tensors share memory, which safetensors refuses: each gets its own.
    stored = {name: tensor.contiguous().clone() for file in pickles for name, tensor in _unpickle(file)}
    plain = names.plain(stored, prefix=model.config.prefix, where=str(model))
    tensors = {plain[name]: tensor for name, tensor in stored.items()}
    save_file(tensors, str(copy / files.WEIGHTS), metadata={"format": "pt"})


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
