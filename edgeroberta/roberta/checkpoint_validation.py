"""What makes a model folder unusable: checks of its config, weights and tokenizer, without torch."""

from __future__ import annotations

from collections.abc import Iterator

from edgeroberta.errors import CheckpointError, shown
from edgeroberta.roberta import files, heads, names, tensorfile
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.roberta.families import FAMILIES
from edgeroberta.roberta.fields import DOWNLOAD
from edgeroberta.roberta.names import WORDS
from edgeroberta.runtime.manifest import MANIFEST_FILE
from edgeroberta.storage.files import TOKENIZER

#: Heads of other tasks, by the suffix of the class name in config.json's "architectures".
_OTHER_TASKS = {
    "ForMultipleChoice": "multiple choice",
    "ForCausalLM": "text generation",
}
#: Entries of "auto_map" that replace what is loaded here by code of the folder's own.
_OWN_CODE = ("AutoConfig", "AutoModel", "AutoModelForMaskedLM")


def check(model: Checkpoint) -> None:
    """Refuse a model whose files do not make one whole; every refusal here is a CheckpointError."""
    check_config(model)
    check_weights(model)
    check_tokenizer(model)


def check_config(model: Checkpoint) -> EncoderConfig:
    """Refuse a config that does not describe an encoder of one of the families with a known head, or none."""
    check_additions(model)
    config, where = model.config, str(model.config_file)
    for name in model.fields.get("architectures") or ():
        for suffix, task in _OTHER_TASKS.items():
            if name.endswith(suffix) and not heads.is_known_class(name):
                known = " and ".join(dict.fromkeys(head.title for head in heads.HEADS.values()))
                raise CheckpointError(
                    f"{shown(name)} is a model for {task}; only {known} can be compressed",
                    where=where,
                    hint="name a model fine-tuned for one of these, or a base model to fine-tune",
                )
    return config


def check_additions(model: Checkpoint) -> None:
    """Refuse a model of any family that is more than config and weights: an adapter, or code of its own."""
    for name in files.ADAPTERS:
        if (model.folder / name).is_file():
            raise CheckpointError(
                f"{name} says that an adapter belongs to this model; it is not merged into the weights",
                where=str(model),
                hint=f"merge it, model = AutoPeftModel{_suffix(model)}.from_pretrained("
                f"{str(model)!r}).merge_and_unload(); model.save_pretrained('merged'), and compress merged"
                " with the tokenizer files beside it",
            )
    own = model.fields.get("auto_map")
    for name in (*_OWN_CODE, *map(heads.auto_name, heads.HEADS.values())):
        if isinstance(own, dict) and name in own:
            raise CheckpointError(
                f"auto_map replaces {name} by code of the folder's own, which may compute something else",
                where=str(model.config_file),
                hint="take auto_map out of this file if transformers' own class gives the same answers",
            )


def _suffix(model: Checkpoint) -> str:
    """Tell how the class of a model ends; an adapter alone has no config.json that says so."""
    return model.head.suffix if model.config_file.is_file() else next(iter(heads.HEADS.values())).suffix


def _check_class(model: Checkpoint) -> None:
    """Refuse a model with a head of another class than transformers', which may pool or compute otherwise."""
    family = FAMILIES[model.config.family]
    for name in model.fields.get("architectures") or ():
        if not heads.is_known_class(name):
            raise CheckpointError(
                f"{shown(name)} is no {family.name} class of transformers; it may compute something else",
                where=str(model.config_file),
                hint=f'write "{family.classes}{model.head.suffix}" there if that class gives the same'
                " answers",
            )


def check_weights(model: Checkpoint) -> None:
    """Refuse weights that are missing, damaged, of another shape than the config says, or not finite."""
    headers, config = model.tensors, model.config
    if not headers and (model.folder / MANIFEST_FILE).is_file():
        raise CheckpointError(
            "this is a bundle, made of a model; a bundle cannot be compressed again",
            where=str(model),
            hint="name the fine-tuned model that it came from; its manifest.json says which, under baseline",
        )
    if not headers:
        raise CheckpointError(
            f"no {files.WEIGHTS} in this folder",
            where=str(model),
            hint="save the model with safetensors; --allow-pickle takes a pytorch_model.bin that you trust",
        )
    prefix = config.prefix if config.prefix + WORDS in headers else ""
    expected = dict(encoder_shapes(config, prefix))
    own = [name for name in heads.tensors(model.head) if not name.startswith(config.prefix)]
    if any(name in headers for name in own):
        sizes = config.hidden_size, config.num_labels, config.vocab_size
        expected.update(heads.shapes(model.head, *sizes))
        optional = dict(model.head.optional(config.hidden_size, config.vocab_size))
        expected.update({name: shape for name, shape in optional.items() if name in headers})
        _check_class(model)
    others = {
        name: entry.file
        for name, entry in headers.items()
        if name not in expected and not names.is_harmless(name)
    }
    names.refuse_foreign(others, model.head)
    for name, shape in expected.items():
        _check_tensor(model, name, shape)
    for name, file in others.items():
        raise names.unknown(name, model.head, where=file)
    for name in tensorfile.not_finite(headers):
        raise CheckpointError(
            f"{name} holds NaN or infinite values",
            where=str(headers[name].file),
            hint="train the model again, with a lower learning rate or in float32",
        )


def _check_tensor(model: Checkpoint, name: str, shape: tuple[int, ...]) -> None:
    entry = model.tensors.get(name)
    if entry is None:
        wrapped = next((key for key in model.tensors if key.endswith(f".{name}")), None)
        raise CheckpointError(
            f"the weights lack {name}",
            where=str(model),
            hint=DOWNLOAD if wrapped is None else f"there is {wrapped}: save_pretrained the model inside",
        )
    if not entry.is_float:
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


def model_shapes(config: EncoderConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List name and shape of a model's tensors, head included, by its config, without the family's prefix."""
    yield from encoder_shapes(config, "")
    head = heads.find(config.head, config.family)
    yield from heads.shapes(head, config.hidden_size, config.num_labels, config.vocab_size)
    yield from head.optional(config.hidden_size, config.vocab_size)


def encoder_shapes(config: EncoderConfig, prefix: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List name and shape of an encoder's tensors by its config; ``prefix``: its family's, or nothing."""
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


def _affine(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def check_tokenizer(model: Checkpoint) -> None:
    """Refuse a tokenizer that is missing, not readable or has ids beyond the embedding table."""
    from tokenizers import Tokenizer

    file = model.folder / TOKENIZER
    if not file.is_file() and (model.folder / files.BERTWEET).is_file():
        raise CheckpointError(
            "BERTweet's tokenizer (vocab.txt and bpe.codes), which is a program in Python: there is no "
            "tokenizer.json to be had of it, which a device could run",
            where=str(model),
            hint="fine-tune a model with a tokenizer.json, such as cardiffnlp/twitter-roberta-base",
        )
    if not file.is_file():
        raise CheckpointError("no tokenizer files in this folder", where=str(model), hint=DOWNLOAD)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception for every kind of bad file
        raise CheckpointError(f"not a tokenizer ({error})", where=str(file), hint=DOWNLOAD) from error
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest < 0:
        raise CheckpointError("the tokenizer has no vocabulary", where=str(file), hint=DOWNLOAD)
    if largest >= model.config.vocab_size:
        raise CheckpointError(
            f"the tokenizer has ids up to {largest}, the embedding table {model.config.vocab_size} rows",
            where=str(file),
            hint="the tokenizer is another model's; take the one that the model was trained with",
        )
