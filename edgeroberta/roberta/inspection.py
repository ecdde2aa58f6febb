"""What makes a model folder unusable: checks of its config, weights and tokenizer, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import tensorfile
from edgeroberta.roberta.config import FAMILIES, EncoderConfig

HEAD_OUTPUT = "classifier.out_proj.weight"
_ENCODER = "roberta."
_WORDS = "embeddings.word_embeddings.weight"

#: Heads of other tasks, by the suffix of the class name in config.json's "architectures".
_OTHER_TASKS = {
    "ForTokenClassification": "token classification",
    "ForQuestionAnswering": "question answering",
    "ForMultipleChoice": "multiple choice",
    "ForCausalLM": "text generation",
}
#: Config fields that change the architecture, and the values that leave it RoBERTa.
_PLAIN = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
}
_SIZES = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "type_vocab_size",
    "vocab_size",
)
_DOWNLOAD = "download or save the model again"


def load_object(file: Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object.

    Args:
        file: The file.

    Returns:
        Its content.

    Raises:
        CheckpointError: It is not UTF-8 JSON, or not an object.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"not JSON ({error.msg} at column {error.colno})", where=f"{file}:{error.lineno}", hint=_DOWNLOAD
        ) from error
    except UnicodeDecodeError as error:
        raise CheckpointError(f"not UTF-8 at byte {error.start}", where=str(file), hint=_DOWNLOAD) from error
    if not isinstance(value, dict):
        raise CheckpointError("not a JSON object", where=str(file), hint=_DOWNLOAD)
    return value


def load_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` of a model folder.

    Args:
        folder: The model folder.

    Returns:
        Its content.

    Raises:
        CheckpointError: It is missing, not JSON, or not an object.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(
            "no config.json in this folder",
            where=str(folder),
            hint="name the folder that save_pretrained wrote, or a Hub id",
        )
    return load_object(file)


def check_config(folder: Path) -> None:
    """Refuse a config that does not describe a RoBERTa encoder for sequence classification.

    Args:
        folder: The model folder.

    Raises:
        CheckpointError: It does not.
    """
    config, where = load_config(folder), str(folder / "config.json")
    family = config.get("model_type")
    if family not in FAMILIES:
        raise CheckpointError(
            f"model_type is {family!r}; only {', '.join(FAMILIES)} can be compressed",
            where=where,
            hint="DistilRoBERTa counts as roberta; name a model of this family",
        )
    for name in config.get("architectures") or ():
        for suffix, task in _OTHER_TASKS.items():
            if str(name).endswith(suffix):
                raise CheckpointError(
                    f"{name} is a model for {task}; only sequence classification can be compressed",
                    where=where,
                    hint="name a model fine-tuned for sequence classification, or a base model to fine-tune",
                )
    for field, accepted in _PLAIN.items():
        if config.get(field) not in accepted:
            raise CheckpointError(
                f"{field} is {config[field]!r}; only {accepted[0]!r} can be compressed", where=where
            )
    for field in _SIZES:
        value = config.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckpointError(
                f"{field} must be a positive whole number, not {value!r}", where=where, hint=_DOWNLOAD
            )
    if config["hidden_size"] % config["num_attention_heads"]:
        raise CheckpointError(
            f"hidden_size {config['hidden_size']} is not a multiple of"
            f" num_attention_heads {config['num_attention_heads']}",
            where=where,
            hint=_DOWNLOAD,
        )
    EncoderConfig.from_dict(config, where=where)


def check(folder: Path) -> None:
    """Refuse a folder whose config, weights and tokenizer do not make one whole model.

    Args:
        folder: The model folder.

    Raises:
        CheckpointError: Something is missing, damaged, or does not fit; the message says what.
    """
    check_config(folder)
    config = load_config(folder)
    check_weights(folder, config)
    check_tokenizer(folder, config)


def check_weights(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse weights that are missing, damaged, of another shape than the config says, or not finite.

    Args:
        folder: The model folder.
        config: Its ``config.json``.

    Raises:
        CheckpointError: They are.
    """
    entries = tensorfile.read_folder(folder)
    if not entries:
        raise CheckpointError(
            f"no {tensorfile.SINGLE} in this folder",
            where=str(folder),
            hint="save the model with safetensors; --allow-pickle takes a pytorch_model.bin that you trust",
        )
    prefix = _ENCODER if _ENCODER + _WORDS in entries else ""
    expected = dict(encoder_shapes(config, prefix))
    if HEAD_OUTPUT in entries:
        expected.update(_head_shapes(config))
    for name, shape in expected.items():
        _check_tensor(folder, entries, name, shape)
    for name, entry in entries.items():
        if not tensorfile.is_finite(entry):
            raise CheckpointError(
                f"{name} holds NaN or infinite values",
                where=str(entry.file),
                hint="train the model again, with a lower learning rate or in float32",
            )


def _check_tensor(
    folder: Path, entries: Mapping[str, tensorfile.TensorEntry], name: str, shape: tuple[int, ...]
) -> None:
    entry = entries.get(name)
    if entry is None:
        raise CheckpointError(f"the weights lack {name}", where=str(folder), hint=_DOWNLOAD)
    if entry.dtype not in tensorfile.FLOATS:
        raise CheckpointError(
            f"{name} is stored as {entry.dtype}, not as floating point",
            where=str(entry.file),
            hint="name the checkpoint from before quantization",
        )
    if entry.shape != shape:
        raise CheckpointError(
            f"{name} has shape {list(entry.shape)}, config.json says {list(shape)}",
            where=str(entry.file),
            hint="config.json and the weights are of different models; download them together",
        )


def encoder_shapes(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List the tensors that a RoBERTa encoder has by its config.

    Args:
        config: The model's ``config.json``.
        prefix: What stands before the names, ``"roberta."`` or nothing.

    Yields:
        Name and shape of each tensor.
    """
    width, inner = config["hidden_size"], config["intermediate_size"]
    base = f"{prefix}embeddings."
    yield f"{prefix}{_WORDS}", (config["vocab_size"], width)
    yield f"{base}position_embeddings.weight", (config["max_position_embeddings"], width)
    yield f"{base}token_type_embeddings.weight", (config["type_vocab_size"], width)
    yield from _affine(f"{base}LayerNorm", (width,))
    for index in range(config["num_hidden_layers"]):
        layer = f"{prefix}encoder.layer.{index}."
        for part in ("query", "key", "value"):
            yield from _affine(f"{layer}attention.self.{part}", (width, width))
        yield from _affine(f"{layer}attention.output.dense", (width, width))
        yield from _affine(f"{layer}attention.output.LayerNorm", (width,))
        yield from _affine(f"{layer}intermediate.dense", (inner, width))
        yield from _affine(f"{layer}output.dense", (width, inner))
        yield from _affine(f"{layer}output.LayerNorm", (width,))


def _head_shapes(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = config["hidden_size"]
    yield from _affine("classifier.dense", (width, width))
    yield from _affine("classifier.out_proj", (outputs(config), width))


def _affine(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def outputs(config: Mapping[str, Any]) -> int:
    """Return how many outputs the classification head has by its config (2 when it does not say).

    Args:
        config: The model's ``config.json``.

    Returns:
        Number of outputs.
    """
    labels = config.get("id2label")
    return len(labels) if labels else int(config.get("num_labels", 2))


def check_tokenizer(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a tokenizer that is not readable or has ids beyond the embedding table.

    Args:
        folder: The model folder.
        config: Its ``config.json``.

    Raises:
        CheckpointError: It is missing, damaged or too large.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError("no tokenizer files in this folder", where=str(folder), hint=_DOWNLOAD)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception for every kind of bad file
        raise CheckpointError(f"not a tokenizer ({error})", where=str(file), hint=_DOWNLOAD) from error
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest < 0:
        raise CheckpointError("the tokenizer has no vocabulary", where=str(file), hint=_DOWNLOAD)
    if largest >= config["vocab_size"]:
        raise CheckpointError(
            f"the tokenizer has ids up to {largest}, the embedding table {config['vocab_size']} rows",
            where=str(file),
            hint="the tokenizer is another model's; take the one that the model was trained with",
        )
