"""What makes a model folder unusable: checks of its config, weights and tokenizer, without torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgeroberta.errors import CheckpointError, shown
from edgeroberta.roberta import names, tensorfile
from edgeroberta.roberta.config import DOWNLOAD, EncoderConfig, load_config
from edgeroberta.roberta.names import ENCODER, WORDS
from edgeroberta.runtime.manifest import MANIFEST_FILE

#: Heads of other tasks, by the suffix of the class name in config.json's "architectures".
_OTHER_TASKS = {
    "ForTokenClassification": "token classification",
    "ForQuestionAnswering": "question answering",
    "ForMultipleChoice": "multiple choice",
    "ForCausalLM": "text generation",
}
#: Classes whose encoder and head are RoBERTa's own, whichever framework wrote them.
_CLASS = re.compile(
    r"(TF|Flax)?(Roberta|XLMRoberta|Camembert)(Model|ForMaskedLM|ForPreTraining|ForSequenceClassification)"
)
#: Entries of "auto_map" that replace what is loaded here by code of the folder's own.
_OWN_CODE = ("AutoConfig", "AutoModel", "AutoModelForMaskedLM", "AutoModelForSequenceClassification")
#: Files of an adapter: PEFT's, and what AdapterHub writes.
_ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin")


def check_config(folder: Path) -> EncoderConfig:
    """Refuse a config that does not describe a RoBERTa encoder for sequence classification.

    Args:
        folder: The model folder.

    Returns:
        The encoder's dimensions.

    Raises:
        CheckpointError: It does not.
    """
    check_additions(folder)
    fields, where = load_config(folder), str(folder / "config.json")
    config = EncoderConfig.from_dict(fields, where=where)
    for name in fields.get("architectures") or ():
        for suffix, task in _OTHER_TASKS.items():
            if name.endswith(suffix):
                raise CheckpointError(
                    f"{shown(name)} is a model for {task}; only sequence classification can be compressed",
                    where=where,
                    hint="name a model fine-tuned for sequence classification, or a base model to fine-tune",
                )
    return config


def check_additions(folder: Path) -> None:
    """Refuse a folder whose model is more than its config and weights: an adapter, or code of its own.

    Args:
        folder: The folder of a model of any family.

    Raises:
        CheckpointError: It is.
    """
    for name in _ADAPTERS:
        if (folder / name).is_file():
            raise CheckpointError(
                f"{name} says that an adapter belongs to this model; it is not merged into the weights",
                where=str(folder),
                hint="merge it, model = AutoPeftModelForSequenceClassification.from_pretrained("
                f"{str(folder)!r}).merge_and_unload(); model.save_pretrained('merged'), and compress merged"
                " with the tokenizer files beside it",
            )
    fields, where = load_config(folder), str(folder / "config.json")
    own = fields.get("auto_map")
    for name in _OWN_CODE:
        if isinstance(own, dict) and name in own:
            raise CheckpointError(
                f"auto_map replaces {name} by code of the folder's own, which may compute something else",
                where=where,
                hint="take auto_map out of this file if transformers' own class gives the same answers",
            )


def check_class(folder: Path) -> None:
    """Refuse a classifier of another class than transformers' own, which may pool or compute otherwise.

    Args:
        folder: Folder of a model with a head.

    Raises:
        CheckpointError: It is of another class.
    """
    for name in load_config(folder).get("architectures") or ():
        if not _CLASS.fullmatch(name):
            raise CheckpointError(
                f"{shown(name)} is no RoBERTa class of transformers; it may compute something else",
                where=str(folder / "config.json"),
                hint='write "RobertaForSequenceClassification" there if that class gives the same answers',
            )


def check(folder: Path) -> None:
    """Refuse a folder whose config, weights and tokenizer do not make one whole model.

    Args:
        folder: The model folder.

    Raises:
        CheckpointError: Something is missing, damaged, or does not fit; the message says what.
    """
    config = check_config(folder)
    check_weights(folder, config)
    check_tokenizer(folder, config)


def check_weights(folder: Path, config: EncoderConfig) -> None:
    """Refuse weights that are missing, damaged, of another shape than the config says, or not finite.

    Args:
        folder: The model folder.
        config: Its dimensions.

    Raises:
        CheckpointError: They are.
    """
    entries = tensorfile.read_folder(folder)
    if not entries and (folder / MANIFEST_FILE).is_file():
        raise CheckpointError(
            "this is a bundle, made of a model; a bundle cannot be compressed again",
            where=str(folder),
            hint="name the fine-tuned model that it came from; its manifest.json says which, under full_size",
        )
    if not entries:
        raise CheckpointError(
            f"no {tensorfile.SINGLE} in this folder",
            where=str(folder),
            hint="save the model with safetensors; --allow-pickle takes a pytorch_model.bin that you trust",
        )
    prefix = ENCODER if ENCODER + WORDS in entries else ""
    expected = dict(encoder_shapes(config, prefix))
    if any(name in entries for name in names.HEAD):
        expected.update(_head_shapes(config))
        check_class(folder)
    others = {
        name: entry.file
        for name, entry in entries.items()
        if name not in expected and not names.is_harmless(name)
    }
    names.refuse_foreign(others)
    for name, shape in expected.items():
        _check_tensor(folder, entries, name, shape)
    for name, file in others.items():
        raise names.unknown(name, where=file)
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
        wrapped = next((key for key in entries if key.endswith(f".{name}")), None)
        raise CheckpointError(
            f"the weights lack {name}",
            where=str(folder),
            hint=DOWNLOAD if wrapped is None else f"there is {wrapped}: save_pretrained the model inside",
        )
    if entry.dtype not in tensorfile.FLOATS:
        raise CheckpointError(
            f"{name} is stored as {entry.dtype}, not as floating point",
            where=str(entry.file),
            hint="name the checkpoint from before quantization",
        )
    if entry.shape != shape:
        raise mismatch(name, entry.shape, shape, where=str(entry.file))


def mismatch(name: str, found: tuple[int, ...], stated: tuple[int, ...], *, where: str) -> CheckpointError:
    """Make the error for a tensor that is of another shape than the config says."""
    return CheckpointError(
        f"{name} has shape {list(found)}, config.json says {list(stated)}",
        where=where,
        hint="config.json and the weights are of different models; download them together",
    )


def classifier_shapes(config: EncoderConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List the tensors of a sequence classifier by its config, without the family's prefix.

    Args:
        config: Its dimensions.

    Yields:
        Name and shape of each tensor.
    """
    yield from encoder_shapes(config, "")
    yield from _head_shapes(config)


def encoder_shapes(config: EncoderConfig, prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List the tensors that a RoBERTa encoder has by its config.

    Args:
        config: Its dimensions.
        prefix: What stands before the names, ``"roberta."`` or nothing.

    Yields:
        Name and shape of each tensor.
    """
    width = config.hidden_size
    base = f"{prefix}embeddings."
    yield f"{prefix}{WORDS}", (config.vocab_size, width)
    yield f"{base}position_embeddings.weight", (config.max_positions, width)
    yield f"{base}token_type_embeddings.weight", (config.type_vocab_size, width)
    yield from _affine(f"{base}LayerNorm", (width,))
    for index, shape in enumerate(config.layer_shapes):
        layer, inner = f"{prefix}encoder.layer.{index}.", shape.intermediate
        attended = shape.heads * config.head_size
        for part in ("query", "key", "value"):
            yield from _affine(f"{layer}attention.self.{part}", (attended, width))
        yield from _affine(f"{layer}attention.output.dense", (width, attended))
        yield from _affine(f"{layer}attention.output.LayerNorm", (width,))
        yield from _affine(f"{layer}intermediate.dense", (inner, width))
        yield from _affine(f"{layer}output.dense", (width, inner))
        yield from _affine(f"{layer}output.LayerNorm", (width,))


def _head_shapes(config: EncoderConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = config.hidden_size
    yield from _affine("classifier.dense", (width, width))
    yield from _affine("classifier.out_proj", (config.num_labels, width))


def _affine(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def check_tokenizer(folder: Path, config: EncoderConfig) -> None:
    """Refuse a tokenizer that is not readable or has ids beyond the embedding table.

    Args:
        folder: The model folder.
        config: Its dimensions.

    Raises:
        CheckpointError: It is missing, damaged or too large.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file() and (folder / "bpe.codes").is_file():
        raise CheckpointError(
            "BERTweet's tokenizer (vocab.txt and bpe.codes), which is a program in Python: there is no "
            "tokenizer.json to be had of it, which a device could run",
            where=str(folder),
            hint="fine-tune a model with a tokenizer.json, such as cardiffnlp/twitter-roberta-base",
        )
    if not file.is_file():
        raise CheckpointError("no tokenizer files in this folder", where=str(folder), hint=DOWNLOAD)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception for every kind of bad file
        raise CheckpointError(f"not a tokenizer ({error})", where=str(file), hint=DOWNLOAD) from error
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest < 0:
        raise CheckpointError("the tokenizer has no vocabulary", where=str(file), hint=DOWNLOAD)
    if largest >= config.vocab_size:
        raise CheckpointError(
            f"the tokenizer has ids up to {largest}, the embedding table {config.vocab_size} rows",
            where=str(file),
            hint="the tokenizer is another model's; take the one that the model was trained with",
        )
