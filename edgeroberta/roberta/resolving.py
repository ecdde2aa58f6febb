"""Find a model on disk or on the Hub, and refuse what cannot be compressed.

All checks read JSON and safetensors headers only, so a bad folder is refused before torch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgeroberta.errors import CheckpointError, missing_extra
from edgeroberta.roberta import checkpoint_validation, conversion, exported_graphs, files, names, tensorfile
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage import paths

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FILES = (".json", ".safetensors", ".bin", ".onnx")


def resolve(model: str, *, allow_pickle: bool = False, cache: Path) -> Checkpoint:
    """Turn what the user called the model into a checked checkpoint with safetensors and tokenizer.json.

    The user's own folder is never edited: where the weights or the tokenizer have to be converted first, the
    result is a copy in the cache. ``allow_pickle``: accept ``pytorch_model.bin`` (read with
    ``weights_only=True``) when there are no safetensors.
    """
    found = Checkpoint(conversion.flat(_locate(model, allow_pickle=allow_pickle), cache=cache))
    checkpoint_validation.check_config(found)
    if conversion.needed(found):
        found = conversion.convert(found, cache=cache, allow_pickle=allow_pickle)
    checkpoint_validation.check(found)
    return found


def locate(model: str, *, cache: Path) -> Checkpoint:
    """Find the checkpoint of any encoder, also of one that cannot be compressed: a teacher.

    One of our families is checked but for its tokenizer; of one of another family only that there are
    safetensors and a config, and no adapter or code. Raises CheckpointError: there is no such model, it is
    damaged, or its weights are only there as a pickle.
    """
    folder = _locate(model, allow_pickle=False, also=files.OTHER_TOKENIZERS)
    found = Checkpoint(conversion.flat(folder, cache=cache))
    checkpoint_validation.check_additions(found)
    if not found.weight_files:
        raise CheckpointError(
            f"no {files.WEIGHTS} in this folder; other forms of weights can run code when they are read",
            where=str(found),
            hint="load the model where it was trained and save it with safetensors",
        )
    if found.of_family:
        checkpoint_validation.check_config(found)
        if not names.is_plain(found.tensors, prefix=found.config.prefix, where=str(found)):
            found = conversion.convert(found, cache=cache, allow_pickle=False)
        checkpoint_validation.check_weights(found)
    return found


def hub_id(model: str) -> str | None:
    """Return a model's id on the Hub; None when it is a path. A folder of that name wins."""
    return model if _is_hub_id(model) and not paths.named(model).exists() else None


def _is_hub_id(model: str) -> bool:
    return bool(_HUB_ID.fullmatch(model)) and not model.endswith(_FILES)


def _locate(model: str, *, allow_pickle: bool, also: Sequence[str] = ()) -> Path:
    path = paths.named(model)
    exported_graphs.refuse(path)
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
    return _download(model, (*files.HUB, *also), allow_pickle=allow_pickle)


def _download(model: str, patterns: Sequence[str], *, allow_pickle: bool) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        raise missing_extra("huggingface_hub", "compress", purpose="a model from the Hub") from error

    def fetch(*more: str) -> Path:
        return Path(huggingface_hub.snapshot_download(model, allow_patterns=[*patterns, *more]))

    try:
        folder = fetch()
        return fetch(*files.HUB_PICKLES) if allow_pickle and not tensorfile.weight_files(folder) else folder
    # LocalEntryNotFoundError: the Hub cannot be reached and nothing is stored here; the others are
    # its answers (no such repository, access refused) and ValueError a malformed id.
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"neither a folder here nor a model that the Hub gave ({type(error).__name__})",
            where=model,
            hint="check the name; without a network, download the model elsewhere and name its folder",
        ) from error
