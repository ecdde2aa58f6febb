"""Checkpoints: find a RoBERTa on disk or on the Hub, and refuse what cannot be compressed.

A checkpoint is a Hugging Face model folder. All checks here read files only (JSON and safetensors
headers), so a bad folder is refused before torch is imported.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.errors import CheckpointError, missing_extra
from edgeroberta.roberta import adoption, config, inspection, names, tensorfile
from edgeroberta.roberta.adoption import OTHER_TOKENIZERS
from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.storage import paths
from edgeroberta.storage.artifact import digest_file, digest_value

if TYPE_CHECKING:
    from edgeroberta.tasks import Task

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HUB_FILES = (
    "config.json",
    "adapter_config.json",  # only to tell that there is an adapter
    "README.md",  # states the licence
    tensorfile.SINGLE,
    "model-*.safetensors",
    tensorfile.INDEX,
    *adoption.TOKENIZER_FILES,
)
#: What makes a fast tokenizer; transformers 5 writes no special_tokens_map.json any more.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
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


def locate(model: str, *, cache: Path) -> Path:
    """Find the folder of any encoder, also one that cannot be compressed: a teacher.

    Args:
        model: A model folder, or an id on the Hugging Face Hub.
        cache: Folder for converted copies.

    Returns:
        The folder. One of a RoBERTa has been checked but for its tokenizer; of one of another family
        nothing but the presence of safetensors, of a config, and that there is no adapter or code.

    Raises:
        CheckpointError: There is no such model, it is damaged, or its weights are only there as a pickle.
    """
    folder = _locate(model, allow_pickle=False, also=OTHER_TOKENIZERS)
    inspection.check_additions(folder)
    if not tensorfile.weight_files(folder):
        raise CheckpointError(
            f"no {tensorfile.SINGLE} in this folder; other forms of weights can run code when they are read",
            where=str(folder),
            hint="load the model where it was trained and save it with safetensors",
        )
    if config.load_config(folder).get("model_type") in config.FAMILIES:
        encoder = inspection.check_config(folder)
        if not names.is_plain(tensorfile.read_folder(folder), where=str(folder)):
            folder = adoption.adopt(folder, cache=cache, allow_pickle=False)
        inspection.check_weights(folder, encoder)
    return folder


def hub_id(model: str) -> str | None:
    """Tell whether what the user called the model is its id on the Hub; a folder of that name wins.

    Args:
        model: What the user called it.

    Returns:
        The id, or None when it is a path.
    """
    return model if _is_hub_id(model) and not paths.named(model).exists() else None


def _is_hub_id(model: str) -> bool:
    return bool(_HUB_ID.fullmatch(model)) and not model.endswith((".json", ".safetensors", ".bin", ".onnx"))


def _locate(model: str, *, allow_pickle: bool, also: tuple[str, ...] = ()) -> Path:
    path = paths.named(model)
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(
            "a file, not a model folder", where=model, hint="name the folder that holds config.json"
        )
    if not _is_hub_id(model):
        raise CheckpointError(
            "no such model folder",
            where=model,
            hint="name a Hugging Face model folder, or a Hub id such as textattack/roberta-base-SST-2",
            code="checkpoint.not-found",
        )
    return _download(model, allow_pickle=allow_pickle, files=[*_HUB_FILES, *also])


def _download(model: str, *, allow_pickle: bool, files: list[str]) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        raise missing_extra("huggingface_hub", "compress", purpose="a model from the Hub") from error
    try:
        folder = Path(huggingface_hub.snapshot_download(model, allow_patterns=files))
        if allow_pickle and not tensorfile.weight_files(folder):
            folder = Path(huggingface_hub.snapshot_download(model, allow_patterns=[*files, *_HUB_PICKLES]))
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
    return config.load_config(path)


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
    return names.HEAD_OUTPUT in tensorfile.read_folder(path)


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


def digest(path: Path) -> str:
    """Return one sha256 over what decides a model's answers: weights, tokenizer and config.

    Other files (README, ONNX exports, an optimizer's state) differ between a download and a saved copy,
    and can be larger than the model.

    Args:
        path: The model folder.

    Returns:
        The digest, hex.

    Raises:
        CheckpointError: The index of the weights is damaged or names an absent file.
    """
    files = [path / name for name in ("config.json", "tokenizer.json", "tokenizer_config.json")]
    if not files[1].is_file():  # a teacher of another family, with a tokenizer of other files
        files += [path / name for name in (*adoption.TOKENIZER_FILES, *OTHER_TOKENIZERS)]
    files += tensorfile.weight_files(path)
    return digest_value({file.name: digest_file(file) for file in files if file.is_file()})


def max_length(path: Path) -> int:
    """Return the number of tokens at which inputs are cut, special tokens included.

    It is the limit that ``tokenizer_config.json`` states (``model_max_length``), as transformers has it,
    and at most what the position table takes: RoBERTa counts positions from ``pad_token_id + 1``, so a
    table of 514 rows takes 512 tokens.

    Args:
        path: The model folder.

    Returns:
        Number of tokens.

    Raises:
        CheckpointError: ``config.json`` is missing or one of the files is not readable.
    """
    positions = EncoderConfig.from_dir(path).max_length
    file = path / "tokenizer_config.json"
    stated = config.load_object(file).get("model_max_length") if file.is_file() else None
    # transformers writes 1e30 where the tokenizer knows no limit.
    return min(positions, int(stated)) if isinstance(stated, (int, float)) and stated >= 2 else positions


def copy_tokenizer(source: Path, destination: Path) -> None:
    """Copy the tokenizer files of one model folder into another, those that are there.

    Args:
        source: Model folder with a ``tokenizer.json``.
        destination: Folder to copy into.
    """
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, destination / name)
