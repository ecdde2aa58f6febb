"""Checkpoints of other forms, converted into a copy: pickled weights, wrapped names, slow tokenizers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import files, hftokenizer, names, sentence_transformers, tablecopy
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import load_object, load_value
from edgeroberta.roberta.sentence_transformers import SentenceTransformer
from edgeroberta.storage import artifact, codedigest
from edgeroberta.storage import cache as cached
from edgeroberta.storage.artifact import write_json
from edgeroberta.storage.files import CONFIG, README, TOKENIZER


def needed(model: Checkpoint) -> bool:
    """Tell whether weights are pickled, names of tensors not transformers', or the tokenizer a slow one."""
    pickled = not model.weight_files and bool(_pickles(model.folder))
    return (
        pickled
        or _has_slow_tokenizer(model)
        or _lowercases(model)
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
    if model.modules is not None:
        if model.modules.lowercase:
            _make_small(copy / TOKENIZER)
        model.copy_modules(copy, model.modules.embedding)


def _lowercases(model: Checkpoint) -> bool:
    """Tell whether sentence-transformers would make letters small that the tokenizer takes as they are."""
    if model.modules is None or not model.modules.lowercase or not (model.folder / TOKENIZER).is_file():
        return False
    return not _makes_small(load_object(model.folder / TOKENIZER).get("normalizer"))


def _makes_small(normalizer: Any) -> bool:
    if not isinstance(normalizer, dict):
        return False
    steps = normalizer.get("normalizers", [normalizer])
    return any(
        step.get("type") == "Lowercase" or (step.get("type") == "BertNormalizer" and step.get("lowercase"))
        for step in steps
    )


def _make_small(file: Path) -> None:
    """Let a tokenizer make letters small before anything else, as sentence-transformers does."""
    fields = load_object(file)
    former = fields.get("normalizer")
    if _makes_small(former):
        return
    steps = former["normalizers"] if former and former.get("type") == "Sequence" else [former]
    small: list[Any] = [{"type": "Lowercase"}, *filter(None, steps)]
    write_json(file, {**fields, "normalizer": {"type": "Sequence", "normalizers": small}})


def flat(folder: Path, *, cache: Path) -> Path:
    """Return a folder as it is, or a copy of one of sentence-transformers whose encoder is in a folder below.

    Raises CheckpointError: there is no such folder, or its files say what is not known here.
    """
    modules = sentence_transformers.read(folder)
    if modules is None or Path(modules.encoder) == Path():
        return folder
    encoder = folder / modules.encoder
    if not encoder.is_dir():
        raise CheckpointError(
            f"modules.json says that the encoder is in {modules.encoder}, which is not there",
            where=str(folder),
            hint="download or save the model again",
            code=sentence_transformers.CODE,
        )
    content = artifact.digest_value([codedigest.of(__name__), artifact.digest_tree(folder)])
    return cached.folder(cache / "checkpoints" / content[:32], lambda copy: _flatten(folder, modules, copy))


def _flatten(folder: Path, modules: SentenceTransformer, copy: Path) -> None:
    for file in (folder / modules.encoder).iterdir():
        if file.is_file():
            shutil.copyfile(file, copy / file.name)
    for name in (README, sentence_transformers.PROMPTS_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, copy / name)
    listed = [{**each} for each in load_value(folder / sentence_transformers.MODULES_FILE)]
    listed[0]["path"] = ""
    write_json(copy / sentence_transformers.MODULES_FILE, listed)
    (copy / modules.pooling).mkdir(parents=True)
    shutil.copyfile(folder / modules.pooling / CONFIG, copy / modules.pooling / CONFIG)


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
