"""Checkpoints: find a RoBERTa on disk or on the Hub, and refuse what cannot be compressed.

A checkpoint is a Hugging Face model folder. All checks here read files only (JSON and safetensors
headers), so a bad folder is refused before torch is imported.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.artifact import write_json
from edgeroberta.errors import CheckpointError, missing_extra
from edgeroberta.roberta import adoption, inspection, tensorfile
from edgeroberta.roberta.config import EncoderConfig

if TYPE_CHECKING:
    from edgeroberta.tasks import Task

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HUB_FILES = (
    "config.json",
    tensorfile.SINGLE,
    "model-*.safetensors",
    tensorfile.INDEX,
    *adoption.TOKENIZER_FILES,
)
_HUB_PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")


def resolve(model: str, *, allow_pickle: bool = False, cache: Path) -> Path:
    """Turn what the user called the model into a checked folder with safetensors and tokenizer.json.

    The user's own folder is never edited: where the weights or the tokenizer have to be converted
    first, the result is a copy in the cache.

    Args:
        model: A model folder, or an id on the Hugging Face Hub.
        allow_pickle: Accept ``pytorch_model.bin`` (read with ``weights_only=True``) when there are
            no safetensors.
        cache: Folder for converted copies.

    Returns:
        The folder to read the model from.

    Raises:
        CheckpointError: It is not a usable RoBERTa, XLM-RoBERTa or CamemBERT; the message says why.
        UnavailableError: A package that its conversion needs is not installed.
    """
    folder = _locate(model, allow_pickle=allow_pickle)
    inspection.check_config(folder)
    if adoption.needed(folder):
        folder = adoption.adopt(folder, cache=cache, allow_pickle=allow_pickle)
    inspection.check(folder)
    return folder


def _locate(model: str, *, allow_pickle: bool) -> Path:
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(
            "a file, not a model folder", where=model, hint="name the folder that holds config.json"
        )
    if not _HUB_ID.fullmatch(model) or model.endswith((".json", ".safetensors", ".bin", ".onnx")):
        raise CheckpointError(
            "no such model folder",
            where=model,
            hint="name a Hugging Face model folder, or a Hub id such as textattack/roberta-base-SST-2",
        )
    return _download(model, allow_pickle=allow_pickle)


def _download(model: str, *, allow_pickle: bool) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        raise missing_extra("huggingface_hub", "compress", purpose="a model from the Hub") from error
    try:
        folder = Path(huggingface_hub.snapshot_download(model, allow_patterns=list(_HUB_FILES)))
        if allow_pickle and not tensorfile.weight_files(folder):
            folder = Path(
                huggingface_hub.snapshot_download(model, allow_patterns=[*_HUB_FILES, *_HUB_PICKLES])
            )
    # LocalEntryNotFoundError: the Hub cannot be reached and nothing is stored here; the others are
    # its answers (no such repository, access refused) and ValueError a malformed id.
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"neither a folder here nor a model that the Hub gave ({type(error).__name__})",
            where=model,
            hint="check the name; without a network, download the model elsewhere and name its folder",
        ) from error
    return folder


def load_config(path: Path) -> dict[str, Any]:
    """Read ``config.json`` of a model folder.

    Args:
        path: The model folder.

    Returns:
        Its content.

    Raises:
        CheckpointError: It is missing, not JSON, or not an object.
    """
    return inspection.load_config(path)


def task_of(path: Path) -> Task:
    """Tell what a fine-tuned checkpoint does: kind of task and labels.

    Args:
        path: The model folder; the answer comes from ``config.json`` alone, so for a base model
            it only names the labels that file happens to list.

    Returns:
        The task (``pair`` is left False: only the data can tell).

    Raises:
        CheckpointError: ``config.json`` is missing or not readable.
    """
    from edgeroberta.tasks import Task

    return Task.from_config(load_config(path))


def has_head(path: Path) -> bool:
    """Tell whether a checkpoint carries a sequence-classification head.

    Args:
        path: The model folder.

    Returns:
        True for a fine-tuned classifier, False for a base model.

    Raises:
        CheckpointError: The weights are missing or damaged.
    """
    return inspection.HEAD_OUTPUT in tensorfile.read_folder(path)


def require_head(path: Path) -> None:
    """Refuse a base model where a fine-tuned one is needed.

    Args:
        path: The model folder.

    Raises:
        CheckpointError: There is no classification head in it.
    """
    if not has_head(path):
        raise CheckpointError(
            "a base model without a classification head; there is nothing to compress yet",
            where=str(path),
            hint="fine-tune it first: put a finetune stage at the start of the recipe",
        )


def parameters(path: Path) -> int:
    """Count the parameters of a checkpoint (floating-point elements over all weight files).

    Args:
        path: The model folder.

    Returns:
        Number of parameters.

    Raises:
        CheckpointError: The weights are missing or damaged.
    """
    return sum(e.elements for e in tensorfile.read_folder(path).values() if e.dtype in tensorfile.FLOATS)


def weight_bytes(path: Path) -> int:
    """Return the size of a checkpoint's weight files in bytes.

    Args:
        path: The model folder.

    Returns:
        Bytes over all safetensors files.

    Raises:
        CheckpointError: The weights are missing.
    """
    return sum(file.stat().st_size for file in tensorfile.weight_files(path))


def max_length(path: Path) -> int:
    """Return the longest input the checkpoint takes, in tokens, special tokens included.

    RoBERTa counts positions from ``pad_token_id + 1``, so a table of 514 rows takes 512 tokens.

    Args:
        path: The model folder.

    Returns:
        Number of tokens.

    Raises:
        CheckpointError: ``config.json`` is missing or not readable.
    """
    return EncoderConfig.from_dir(path).max_length


def copy_tokenizer(source: Path, destination: Path) -> None:
    """Copy the tokenizer files of one model folder into another.

    Where ``tokenizer_config.json`` or ``special_tokens_map.json`` is absent (transformers 5 does not
    write the latter), it is made from the special tokens that all models of this family share, since
    other tools look for them.

    Args:
        source: Model folder with a ``tokenizer.json``.
        destination: Folder to copy into.
    """
    for name in adoption.TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, destination / name)
    tokens = _special_tokens(destination)
    if not (destination / "special_tokens_map.json").is_file():
        write_json(destination / "special_tokens_map.json", tokens)
    if not (destination / "tokenizer_config.json").is_file():
        write_json(
            destination / "tokenizer_config.json",
            {
                "model_max_length": max_length(source),
                "tokenizer_class": "PreTrainedTokenizerFast",
                **tokens,
            },
        )


_SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "mask_token": "<mask>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
}


def _special_tokens(folder: Path) -> Mapping[str, str]:
    file = folder / "tokenizer_config.json"
    stated = inspection.load_object(file) if file.is_file() else {}
    tokens = {}
    for role, usual in _SPECIAL_TOKENS.items():
        token = stated.get(role, usual)
        tokens[role] = token["content"] if isinstance(token, dict) else str(token)
    return tokens
